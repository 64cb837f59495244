package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// The purge works in slices and rests in between as long as it worked, so that
// pods have at least half of the disk's time. No descriptor outlives a slice: the
// admin can unmount a disk in the middle of a purge.
//
// An entry that takes longer than its turn, for it is large or somebody still
// writes to it, is gone on with when the others have had theirs.
const (
	sliceTime = 100 * time.Millisecond
	turnTime  = time.Minute
)

// errSlice ends a slice.
var errSlice = errors.New("the slice is over")

// fullShare is what a filesystem runs full at: less than this share of its room,
// or of its inodes, is free.
const fullShare = 0.05

// purge removes from every healthy base directory what has been in the trash for
// its time, and, if a pool runs full, the oldest of the rest.
func (s *Store) purge(ctx context.Context) {
	for _, b := range s.snapshot() {
		if ctx.Err() != nil {
			return
		}
		entries, err := b.discarded()
		if errors.Is(err, errdefs.ErrUnavailable) {
			continue // refresh has said so
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "the trash cannot be read", "path", b.path)
			continue
		}
		s.purgeBase(ctx, b, entries)
	}
}

// discarded lists the trash, the oldest first.
func (b *base) discarded() ([]discarded, error) {
	pool, err := b.open()
	if err != nil {
		return nil, err
	}
	defer pool.close()
	return pool.discarded()
}

// purgeBase purges the entries of one base directory that are due. One that
// cannot be removed does not keep the others.
func (s *Store) purgeBase(ctx context.Context, b *base, entries []discarded) {
	log := klog.FromContext(ctx)
	b.forgetStuck(entries)
	full := sync.OnceValue(b.runsFull)
	for _, e := range entries {
		if ctx.Err() != nil {
			return
		}
		early, due := b.isDue(e, full)
		if !due {
			continue
		}
		if early {
			log.Info("the pool runs full: a deleted volume is purged before its time, nothing brings it back now", "path", b.path, "entry", e.file)
			b.countShortened()
		}
		err := b.purgeEntry(ctx, e)
		s.countOthers(b) // what was freed can be promised at once
		full = sync.OnceValue(b.runsFull)
		if early && err == nil {
			// One at a time: btrfs shows what it gets back only after a commit.
			b.stuck(e, nil)
			return
		}
		switch {
		case err == nil:
			b.stuck(e, nil)
		case errors.Is(err, errSlice):
			s.wakePurge()
		case ctx.Err() != nil || errors.Is(err, errdefs.ErrUnavailable):
		case errors.Is(err, errdefs.ErrBusy): // btrfs takes its time; what it frees is not seen yet
			if early {
				return
			}
		case b.stuck(e, err):
			log.Error(err, "a deleted volume cannot be purged, trying again each minute", "path", b.path, "entry", e.doomedName())
		}
	}
}

// isDue tells whether an entry is to be purged now, and whether that is early.
// One whose record cannot be read stays until an operator purges it: nobody knows
// how long it was to be kept. full tells whether the trash has to make room.
func (b *base) isDue(e discarded, full func() bool) (early, due bool) {
	if e.isDoomed() {
		return false, true
	}
	pool, err := b.open()
	if err != nil {
		return false, false
	}
	r, err := pool.readDiscarded(e)
	pool.close()
	if err != nil {
		b.stuck(e, fmt.Errorf("%w; so it is kept, until hostdir purge is told to remove it", err))
		return false, false
	}
	b.stuck(e, nil)
	until, atLeast := b.until(e, r.Class)
	now := time.Now()
	if !now.Before(until) {
		return false, true
	}
	early = !now.Before(atLeast) && full()
	return early, early
}

// runsFull reports whether the trash of a base directory has to make room. It goes
// by what the filesystem itself says is free: what can be promised is an estimate,
// and nobody's deleted volume is destroyed for one. An error is no reason either.
func (b *base) runsFull() bool {
	pool, err := b.open()
	if err != nil {
		return false
	}
	defer pool.close()
	room, err := pool.room()
	if err != nil || room.readOnly {
		return false
	}
	return float64(room.free) < fullShare*float64(room.size) ||
		float64(room.freeInodes) < fullShare*float64(room.inodes)
}

// purgeEntry removes an entry of the trash, slice by slice. It returns errSlice
// if its turn is over before that is done.
func (b *base) purgeEntry(ctx context.Context, e discarded) error {
	for turn := time.Now(); ; {
		began := time.Now()
		var err error
		e, err = b.purgeSlice(ctx, e, sliceTime)
		if !errors.Is(err, errSlice) || time.Since(turn) > turnTime {
			return err
		}
		if err := rest(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// purgeSlice removes a part of an entry. It returns errSlice if there is more,
// and the entry under the name that it has by then.
func (b *base) purgeSlice(ctx context.Context, e discarded, d time.Duration) (discarded, error) {
	pool, err := b.open()
	if err != nil {
		return e, err
	}
	defer pool.close()
	e, err = pool.doom(e)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil // it was brought back
	}
	if err != nil {
		return e, err
	}
	trash, err := pool.sub(trashDir)
	if err != nil {
		return e, err
	}
	defer trash.close()
	slice, cancel := context.WithTimeoutCause(ctx, d, errSlice)
	defer cancel()
	err = b.removeVolume(slice, trash, e.file)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return e, context.Cause(slice)
	}
	return e, err
}

// stuck remembers why an entry cannot be removed, nil if it was. It returns
// whether a reason is news.
func (b *base) stuck(e discarded, why error) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.whyStuck[e.doomedName()]
	if why == nil {
		delete(b.whyStuck, e.doomedName())
		return false
	}
	if b.whyStuck == nil {
		b.whyStuck = map[string]error{}
	}
	b.whyStuck[e.doomedName()] = why
	return was == nil || was.Error() != why.Error()
}

// forgetStuck drops what is remembered of entries that are gone, by whatever
// hand.
func (b *base) forgetStuck(entries []discarded) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.whyStuck, func(file string, _ error) bool {
		return !slices.ContainsFunc(entries, func(e discarded) bool { return e.doomedName() == file })
	})
}

func (b *base) countStuck() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.whyStuck)
}

func (b *base) countShortened() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shortened++
}
