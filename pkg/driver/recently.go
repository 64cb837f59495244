package driver

import (
	"sync"
	"time"
)

// recently remembers what was logged within the last minute. kubelet repeats a
// call that fails up to ten times a second, and the same line again tells
// nothing new.
type recently struct {
	mu   sync.Mutex // guards seen
	seen map[string]time.Time
}

const (
	recent     = time.Minute
	maxRecents = 1000 // beyond which all are forgotten
)

// before tells whether a line was logged recently, and takes note if not.
func (r *recently) before(line string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[line]; ok && now.Sub(at) < recent {
		return true
	}
	if r.seen == nil || len(r.seen) >= maxRecents {
		r.seen = map[string]time.Time{}
	}
	r.seen[line] = now
	return false
}
