package driver

import (
	"sync"
	"time"
)

// logDedup remembers what was logged within the last minute. kubelet repeats a
// call that fails up to ten times a second, and the same line again says nothing
// new.
type logDedup struct {
	mu    sync.Mutex // guards lines
	lines map[string]time.Time
}

const (
	dedupTime = time.Minute
	maxLines  = 1000 // beyond which all are forgotten
)

// seen reports whether a line was logged recently. If not, it is now.
func (d *logDedup) seen(line string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.lines[line]; ok && now.Sub(at) < dedupTime {
		return true
	}
	if d.lines == nil || len(d.lines) >= maxLines {
		d.lines = map[string]time.Time{}
	}
	d.lines[line] = now
	return false
}
