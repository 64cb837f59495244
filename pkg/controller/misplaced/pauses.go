package misplaced

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A pod that comes back to the same node was sent there by its template's nodeName, not
// by a race. The pauses between evictions grow, so that it costs nobody much.
const (
	firstPause = time.Minute
	lastPause  = time.Hour
)

// pauses are when pods of a claim may be evicted again.
type pauses map[types.UID]pause

type pause struct {
	until time.Time
	next  time.Duration
}

// pause returns how long the pods of a claim are left alone.
func (l *loop) pause(claim types.UID) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pauses[claim].until.Sub(l.clock())
}

// evicted notes that a pod of a claim was evicted.
func (l *loop) evicted(claim types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for c, p := range l.pauses {
		if now.Sub(p.until) > 2*lastPause {
			delete(l.pauses, c)
		}
	}
	if l.pauses == nil {
		l.pauses = pauses{}
	}
	wait := max(l.pauses[claim].next, firstPause)
	l.pauses[claim] = pause{now.Add(wait), min(2*wait, lastPause)}
}
