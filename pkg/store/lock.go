package store

import (
	"fmt"
	"sync"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// locks holds one lock for each volume's name. Nobody waits for one: the spec
// lets a second call on a volume fail with Aborted, and its caller retries.
type locks struct {
	mu   sync.Mutex // guards held
	held map[string]struct{}
}

// lock returns the function that unlocks, or ErrBusy.
func (l *locks) lock(name string) (unlock func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[name]; ok {
		return nil, fmt.Errorf("volume %s: %w with another call; try again", name, errdefs.ErrBusy)
	}
	if l.held == nil {
		l.held = map[string]struct{}{}
	}
	l.held[name] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, name)
	}, nil
}
