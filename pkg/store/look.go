package store

import (
	"context"
	"sync"
	"time"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// Look looks at all paths of the configuration side by side, and returns when the
// disks that may be used are, or the context ends.
func (s *Store) Look(ctx context.Context) {
	s.findPaths(ctx)
	s.mu.RLock()
	slots := s.slots
	s.mu.RUnlock()
	for _, look := range []func(context.Context, *slot){s.lookAt, s.takeUp} {
		looked := make(chan struct{})
		var all sync.WaitGroup
		for _, x := range slots {
			all.Go(func() { look(ctx, x) })
		}
		go func() { all.Wait(); close(looked) }()
		select {
		case <-looked:
		case <-ctx.Done():
			return
		}
	}
}

// lookAt probes a path, has it decided what that means, and takes its disk into
// use if that is how it was decided.
func (s *Store) lookAt(ctx context.Context, x *slot) {
	s.probe(x)
	s.probeElsewhere(x)
	s.decide(ctx)
	s.takeUp(ctx, x)
}

// probeElsewhere looks again at the path at which the disk is in use that was just
// found at another: either it has moved, or one of the two is a copy. A look that is under
// way there may have begun before it moved.
func (s *Store) probeElsewhere(x *slot) {
	s.mu.RLock()
	var other *slot
	if x.answered && x.probe.Marker != nil {
		for _, o := range s.slots {
			if o != x && o.disk != nil && o.disk.id.UUID == x.probe.Marker.UUID {
				other = o
			}
		}
	}
	s.mu.RUnlock()
	if other == nil {
		return
	}
	looked := make(chan struct{})
	go func() { s.probe(other); close(looked) }()
	select {
	case <-looked:
	case <-time.After(lookPatience): // it does not answer, and is in use there still
	}
}

// probe finds out what is at a path.
func (s *Store) probe(x *slot) {
	x.looking.Lock()
	defer x.looking.Unlock()
	s.mu.Lock()
	before, mountPoint, d := x.probe, x.pool.MountPoint(x.path), x.disk
	x.asked = time.Now()
	s.mu.Unlock()
	end := func() {}
	if d != nil {
		end = d.calls.begin("a look at it", lookPatience)
	}
	p := disk.Look(x.path, mountPoint, before)
	end()
	s.mu.Lock()
	defer s.mu.Unlock()
	x.asked = time.Time{}
	// That this process has run out of something says nothing of a disk in use.
	if d == nil || !dir.IsPassing(p.Err) {
		x.probe, x.answered = p, true
		if p.Err == nil {
			x.watch.Saw(p.Sign, time.Now())
		}
	}
	if d != nil && p.Err == nil && p.Marker != nil && p.Identity() == d.id {
		d.setCordoned(p.Marker.Cordoned)
	}
}
