package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
)

// decideGrace is how long a path may take to answer before it is decided on the
// others without it: of two copies of a disk neither is used, so both must be
// seen first.
const decideGrace = time.Second

// decideIfWaiting decides again where time may have changed something: a path has
// not answered.
func (s *Store) decideIfWaiting(ctx context.Context) {
	s.mu.RLock()
	waiting := slices.ContainsFunc(s.slots, func(x *slot) bool { return x.disk == nil && (!x.answered || !x.asked.IsZero()) })
	s.mu.RUnlock()
	if waiting {
		s.decide(ctx)
	}
}

// diskCandidates returns what Decide has to know. The caller holds deciding and mu.
func (s *Store) diskCandidates() []disk.Candidate {
	all, now := make([]disk.Candidate, len(s.slots)), time.Now()
	for i, x := range s.slots {
		silent := !x.answered || x.disk == nil && x.overdue()
		all[i] = disk.Candidate{
			Probe: x.probe, Silent: silent, Approved: x.approved && x.disk == nil,
			Claim: x.watch.Claim(s.owner(), now, s.ownerPatience), InitEmpty: x.pool.InitEmpty,
		}
		if silent {
			all[i].Probe = disk.Probe{Path: x.path}
		} else if p := x.probe; x.disk != nil && p.Err == nil && p.Marker != nil {
			all[i].InUse = p.Identity() == x.disk.id
		}
	}
	return all
}

// overdue reports whether a look at the path should have returned long ago.
func (x *slot) overdue() bool { return !x.asked.IsZero() && time.Since(x.asked) > lookPatience }

// decide says of every path whether its disk is used. Disks that must not be used
// any more are out of use when it returns; those that may be are taken into use by
// their own goroutines.
func (s *Store) decide(ctx context.Context) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if s.history.Unreadable != nil { // repaired, or removed?
		s.loadHistory(ctx)
	}
	s.mu.Lock()
	slots, candidates := s.slots, s.diskCandidates()
	decisions := disk.Decide(s.history, candidates, s.override)
	ripe := !slices.ContainsFunc(slots, func(x *slot) bool { return !x.answered && time.Since(x.added) < decideGrace })
	for i, x := range slots {
		x.last = s.history.At(x.path).Disk
		s.apply(ctx, x, candidates[i], decisions[i].Err, ripe)
	}
	s.mu.Unlock()
	s.history.Apply(candidates, decisions)
	s.saveHistory(ctx)
}

// apply does with a path what was decided. The caller holds s.mu.
func (s *Store) apply(ctx context.Context, x *slot, c disk.Candidate, err error, ripe bool) {
	was := x.err
	switch {
	case x.disk != nil && c.InUse && err == nil:
		return
	case x.disk != nil && err == nil:
		x.drop(errors.New("another disk is there now"))
	case x.disk != nil:
		x.drop(err)
	case c.Silent && x.overdue():
		err = disk.Refuse(disk.Unresponsive, "it does not answer: a look at it has been waiting since %s; look at the disk (dmesg); hostdir goes on by itself once it answers", x.asked.UTC().Format(time.RFC3339))
	case !ripe:
		return // which leaves it pending
	}
	if x.approved = err == nil; !x.approved {
		x.err, x.failed = err, nil
		if reason := disk.ReasonOf(err); reason != disk.Pending && (was == nil || was.Error() != err.Error()) {
			klog.FromContext(ctx).Error(err, "disk cannot be used", "path", x.path, "pool", x.pool.Name, "reason", reason)
		}
		return
	}
	if x.failed == nil {
		x.err = disk.Refuse(disk.Pending, "it is being read")
	}
	select {
	case x.poke <- struct{}{}:
	default:
	}
}

// drop takes a path's disk out of use, if one is.
func (x *slot) drop(why error) {
	x.approved = false
	if x.disk != nil {
		x.disk.retire(why)
		x.disk = nil
	}
}
