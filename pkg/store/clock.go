package store

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// How old an entry of the trash is, only the node's clock says. A clock that jumps
// ahead, as one does that was wrong when the node booted, or is wrong from now on,
// would have all of the trash purged at once. So for a day after a jump nothing is
// purged for its age: time for somebody, or NTP, to put the clock right.
const (
	clockJump    = time.Hour      // ahead of the time that has passed, while hostdir runs
	clockAbsence = 24 * time.Hour // since hostdir ran last
	clockDoubt   = 24 * time.Hour
)

// clock watches the node's clock.
type clock struct {
	mu sync.Mutex // guards all below
	// wall and uptime are those of the last tick.
	wall   time.Time
	uptime time.Duration
	// doubtUntil is the uptime until which the clock is not trusted.
	doubtUntil time.Duration
	began      time.Time // uptime counts from here, by the monotonic clock
}

// start begins to watch. lastRun is when hostdir ran last, zero if it never has.
func (c *clock) start(ctx context.Context, lastRun time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began, c.wall = now, now.Round(0)
	if away := c.wall.Sub(lastRun); !lastRun.IsZero() && away > clockAbsence {
		c.doubt(ctx, away)
	}
}

// tick looks at the clock.
func (c *clock) tick(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.see(ctx, time.Now().Round(0), time.Since(c.began))
}

// see is tick at this moment. The caller holds c.mu.
func (c *clock) see(ctx context.Context, wall time.Time, uptime time.Duration) {
	jump := wall.Sub(c.wall) - (uptime - c.uptime)
	c.wall, c.uptime = wall, uptime
	switch {
	case jump > clockJump:
		c.doubt(ctx, jump)
	case jump < -clockJump: // it was put right
		c.doubtUntil = 0
	}
}

func (c *clock) doubt(ctx context.Context, ahead time.Duration) {
	c.doubtUntil = c.uptime + clockDoubt
	klog.FromContext(ctx).Info("the node's clock is far ahead of when it was looked at last: no deleted volume is purged for its age for a day; set the clock right if it is wrong",
		"ahead", ahead.Round(time.Minute).String(), "clock", c.wall.Format(time.RFC3339))
}

// trusted reports whether the age of a deleted volume is known.
func (c *clock) trusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uptime >= c.doubtUntil
}
