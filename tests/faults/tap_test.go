package faults

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/faults/intercept"
)

// tap counts the system calls of a program that concern the pool, kubelet's
// directory or mounts, and lets one of them meet a fault. Such a call is called a
// point, and has a name that is the same in each run.
type tap struct {
	trees []tree
	// sockets are directories of the program's own, in which it may do what it
	// likes.
	sockets []string

	mu    sync.Mutex // guards all below
	armed bool
	// points are the calls since the tap was armed; the one of number at met
	// the fault.
	points []string
	at     int
	fault  intercept.Verdict
	// last is when the program made the last call that would be a point.
	last time.Time
	// complaints are calls that no run may make.
	complaints []string
}

// tree is a directory and its name in points.
type tree struct{ path, name string }

// nowhere is the number of a point that there is not.
const nowhere = -1

// arm begins to count; point number at meets the fault.
func (tap *tap) arm(at int, fault intercept.Verdict) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.armed, tap.points, tap.at, tap.fault = true, nil, at, fault
}

// disarm ends the count and returns the points.
func (tap *tap) disarm() []string {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.armed = false
	return tap.points
}

// isHit tells whether the fault has happened.
func (tap *tap) isHit() bool {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	return tap.at != nowhere && len(tap.points) > tap.at
}

// decide is called about each system call, by package intercept.
func (tap *tap) decide(c intercept.Call) intercept.Verdict {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if !c.Known {
		tap.complaints = append(tap.complaints, c.Name+" is in neither list of intercept/calls.go: write it down there")
		return intercept.Verdict{}
	}
	name, concerned := tap.name(c)
	if !concerned {
		if tap.strays(c) {
			tap.complaints = append(tap.complaints, "outside the pool and kubelet's directory: "+c.String())
		}
		return intercept.Verdict{}
	}
	tap.last = time.Now()
	if !tap.armed {
		return intercept.Verdict{}
	}
	tap.points = append(tap.points, name)
	if len(tap.points)-1 == tap.at {
		return tap.fault
	}
	return intercept.Verdict{}
}

// name names a point, and tells whether the call is one.
func (tap *tap) name(c intercept.Call) (name string, concerned bool) {
	concerned = strings.Contains(c.Name, "mount") || c.Name == "open_tree"
	words := []string{c.Name}
	for _, path := range c.Paths {
		for _, tree := range tap.trees {
			if rest, ok := strings.CutPrefix(path, tree.path); ok && (rest == "" || rest[0] == '/') {
				path, concerned = tree.name+rest, true
			}
		}
		words = append(words, path)
	}
	return impersonal(strings.Join(words, " ")), concerned
}

// strays tells whether a call changes a file elsewhere. Opening one, and asking a
// device, changes nothing yet.
func (tap *tap) strays(c intercept.Call) bool {
	if slices.Contains([]string{"openat", "openat2", "bind"}, c.Name) || strings.HasPrefix(c.Name, "ioctl") {
		return false
	}
	return slices.ContainsFunc(c.Paths, func(path string) bool {
		within := func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
		return strings.HasPrefix(path, "/") && !within("/dev") && !slices.ContainsFunc(tap.sockets, within)
	})
}

var personal = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`\d{8}T\d{6}Z`), "<time>"},
	{regexp.MustCompile(`/[^"]*/hostdir-\d+/`), "<dir>/"},
	{regexp.MustCompile(`handle \d+:[0-9a-f]+`), "<handle>"},
	{regexp.MustCompile(`("kind": "btrfs",\s*"id": |"subvolume": )\d+`), "$1<id>"},
	{regexp.MustCompile(`"bytes": \d+(,\s*"files": \d+)?`), `"bytes": <n>`}, // by a quota, or by a walk if that failed
}

// impersonal leaves out what differs from run to run.
func impersonal(s string) string {
	for _, p := range personal {
		s = p.pattern.ReplaceAllString(s, p.instead)
	}
	return s
}

// quiet waits until the program has made no call for a while: what it does in the
// background after a start is done.
func (tap *tap) quiet() {
	const while = 15 * time.Millisecond
	for {
		tap.mu.Lock()
		since := time.Since(tap.last)
		tap.mu.Unlock()
		if since > while {
			return
		}
		time.Sleep(while - since)
	}
}

// complain fails the test if the program made calls that it must not make.
func (tap *tap) complain(t *testing.T) {
	t.Helper()
	tap.mu.Lock()
	defer tap.mu.Unlock()
	slices.Sort(tap.complaints)
	for _, c := range slices.Compact(tap.complaints) {
		t.Error(c)
	}
}

// list shows points with their numbers.
func list(points []string) string {
	var b strings.Builder
	for i, p := range points {
		fmt.Fprintf(&b, "%4d %s\n", i, p)
	}
	return b.String()
}
