package hang

import (
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"
)

// forever is a delay that only a new setting ends.
const forever = time.Duration(math.MaxInt64)

// setting says what is held up: each request for the time Delay, but for the
// first After of them.
type setting struct {
	Delay time.Duration
	After int
}

// gate is what each request passes before it is served.
type gate struct {
	mu       sync.Mutex // guards all below
	setting  setting
	requests int           // since the setting
	changed  chan struct{} // closed by the next setting
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

// set lets all who wait pass, and the next ones by the new setting. It returns
// how many came during the last.
func (g *gate) set(s setting) (requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.changed)
	requests = g.requests
	g.setting, g.requests, g.changed = s, 0, make(chan struct{})
	return requests
}

// pass waits until the request of a thread may be served, and reports whether
// the thread was killed in the meantime.
func (g *gate) pass(thread uint32) (killed bool) {
	g.mu.Lock()
	g.requests++
	delay, changed := g.setting.Delay, g.changed
	if g.requests <= g.setting.After {
		delay = 0
	}
	g.mu.Unlock()
	if delay == 0 {
		return false
	}
	over := time.After(delay)
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-over:
			return false
		case <-changed:
			return false
		case <-look.C:
			if isKilled(thread) {
				return true
			}
		}
	}
}

// isKilled reports whether SIGKILL waits for a thread. The kernel says of a FUSE
// request only that some signal has come, and Go's runtime sends many.
func isKilled(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		var pending uint64
		if _, err := fmt.Sscanf(line, "SigPnd: %x", &pending); err == nil {
			return pending&(1<<8) != 0 // SIGKILL is 9, counted from 1
		}
	}
	return false
}
