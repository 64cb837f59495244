package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Calls counts the calls that the driver answers. The zero value is ready.
type Calls struct {
	mu     sync.Mutex // guards all below
	byKind map[callKind]*durations
	panics int64
}

// callKind is what distinguishes calls: few methods, few codes.
type callKind struct{ method, code string }

// bounds reach from a few milliseconds, which most calls take, to what kubelet
// and the provisioner wait.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute,
}

type durations struct {
	within [len(bounds)]int64 // calls, by the first of bounds that they took no longer than
	count  int64
	sum    time.Duration
}

// Done counts a call by its method and the code of its answer.
func (c *Calls) Done(method, code string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := callKind{method, code}
	d := c.byKind[kind]
	if d == nil {
		d = &durations{}
		if c.byKind == nil {
			c.byKind = map[callKind]*durations{}
		}
		c.byKind[kind] = d
	}
	d.count++
	d.sum += took
	if i, _ := slices.BinarySearch(bounds[:], took); i < len(bounds) {
		d.within[i]++
	}
}

// Panicked counts a call that ended in a panic.
func (c *Calls) Panicked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.panics++
}

// counts is what Calls held at one moment.
type counts struct {
	byKind map[callKind]durations
	panics int64
}

// snapshot copies the counts, so that a slow reader does not hold up calls.
func (c *Calls) snapshot() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := counts{byKind: make(map[callKind]durations, len(c.byKind)), panics: c.panics}
	for kind, d := range c.byKind {
		s.byKind[kind] = *d
	}
	return s
}

func (c counts) write(e *exposition) {
	e.family("hostdir_call_duration_seconds", histogram, "How long CSI calls took, by method and code.")
	kinds := slices.SortedFunc(maps.Keys(c.byKind), func(a, b callKind) int {
		return cmp.Or(cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	})
	for _, kind := range kinds {
		c.byKind[kind].write(e, kind)
	}
	e.family("hostdir_panics_total", counter, "Calls that ended in a panic, each a bug of hostdir: its log has the details.")
	e.sample(nil, float64(c.panics))
}

func (d durations) write(e *exposition, kind callKind) {
	l := labels{{"method", kind.method}, {"code", kind.code}}
	var within int64
	for i, bound := range bounds {
		within += d.within[i]
		e.part("_bucket", append(l, [2]string{"le", strconv.FormatFloat(bound.Seconds(), 'g', -1, 64)}), float64(within))
	}
	e.part("_bucket", append(l, [2]string{"le", "+Inf"}), float64(d.count))
	e.part("_sum", l, d.sum.Seconds())
	e.part("_count", l, float64(d.count))
}
