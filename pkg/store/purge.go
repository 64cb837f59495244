package store

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// The purge works in slices and rests in between as long as it worked, so that
// pods have at least half of the disk's time. No descriptor outlives a slice: the
// admin can unmount a disk in the middle of a purge.
//
// An entry that is not removed within its turn, because it is large or somebody
// still writes to it, is resumed after the others had theirs: what is small gets
// its room back soon, whatever else is in the trash.
const (
	sliceTime = 100 * time.Millisecond
	turnTime  = 5 * time.Second
	// clearTime is what btrfs may take, once it begins, to clear away a small subvolume.
	clearTime = 2 * time.Second
)

// errSlice ends a slice.
var errSlice = errors.New("the slice is over")

// purge removes from a disk what has been in the trash for its time, and then,
// while its filesystem is full, the oldest of the rest.
func (s *Store) purge(ctx context.Context, d *diskState) {
	failed := map[string]bool{}
	for ctx.Err() == nil {
		if err := d.readTrash(); err != nil {
			if !errors.Is(err, errdefs.ErrUnavailable) { // the next look says why
				klog.FromContext(ctx).Error(err, "the trash cannot be read", "path", d.path)
			}
			return
		}
		e, ok := d.nextDue(s.clock.trusted(), failed)
		if !ok {
			break
		}
		if err := s.purgeTurn(ctx, d, e); err != nil && !errors.Is(err, errSlice) {
			failed[e.trashID()] = true
		}
	}
	for s.evict(ctx, d) {
	}
}

// nextDue returns the entry to purge next: of those that are due the one that had
// the fewest turns. One whose record cannot be read stays until an operator purges
// it: nobody knows how long it was to be kept. Nor is it known how old an entry is
// while the clock is not to be trusted.
func (d *diskState) nextDue(clockTrusted bool, failed map[string]bool) (next entry, ok bool) {
	pool := d.poolNow()
	turns := 0
	for _, t := range d.trashList() {
		if failed[t.trashID()] || ok && t.turns >= turns {
			continue
		}
		if due := t.isPurging(); !due {
			if t.record == nil {
				continue
			}
			ttl, _ := retention(pool, t.record.Class)
			if ttl > 0 && (!clockTrusted || time.Now().Before(t.deleted.Add(ttl))) {
				continue
			}
		}
		next, turns, ok = t.entry, t.turns, true
	}
	return next, ok
}

// purgeTurn gives an entry its turn. It returns errSlice if there is more to
// remove, and otherwise why the entry is still there.
func (s *Store) purgeTurn(ctx context.Context, d *diskState, e entry) error {
	id := e.trashID()
	_ = d.sample()
	before := d.free()
	err := d.purgeEntry(ctx, e)
	_ = d.sample() // what is free by now can be allocated at once
	d.noteFreed(id, d.free()-before, err == nil)
	switch {
	case err == nil:
		d.forgetTrashed(id)
	case errors.Is(err, errSlice):
		d.updateTrashed(id, func(t *trashed) { t.turns++ })
	case ctx.Err() != nil, errors.Is(err, errdefs.ErrUnavailable):
	case errors.Is(err, errdefs.ErrBusy): // btrfs takes its time; it is tried again
		first := false
		d.updateTrashed(id, func(t *trashed) { first, t.clearing = !t.clearing, true })
		if first {
			d.clearSoon()
		}
	default:
		news := false
		d.updateTrashed(id, func(t *trashed) {
			news = t.purgeErr == nil || t.purgeErr.Error() != err.Error()
			t.purgeErr = err
		})
		if news {
			klog.FromContext(ctx).Error(err, "a deleted volume cannot be purged, trying again each minute", "path", d.path, "entry", e.purgingName())
		}
	}
	return err
}

// free returns what was free on the filesystem at the last look.
func (d *diskState) free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.space.Free
}

// noteFreed takes what the purge has removed of an entry from what others hold: no
// more than the entry was of that, for pods remove files as well, and all of it once
// the entry is gone.
func (d *diskState) noteFreed(id string, freed int64, gone bool) {
	freed = max(0, freed)
	d.updateTrashed(id, func(t *trashed) {
		if was := t.foreign(); freed > was || gone && t.used != nil {
			freed = was
		}
		t.freed += freed
	})
	d.addForeign(-freed)
}

// purgeEntry removes an entry of the trash, slice by slice. It returns errSlice
// if its turn is over before that is done.
func (d *diskState) purgeEntry(ctx context.Context, e entry) error {
	e, err := d.mark(e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was brought back
	}
	if err == nil {
		err = d.commitMark(e)
	}
	if err != nil {
		return err
	}
	for turn := time.Now(); ; {
		began := time.Now()
		err := d.purgeSlice(ctx, e, sliceTime)
		if !errors.Is(err, errSlice) || time.Since(turn) > turnTime {
			return err
		}
		if err := rest(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// purgeSlice removes a part of an entry that is marked. It returns errSlice if there is
// more.
func (d *diskState) purgeSlice(ctx context.Context, e entry, t time.Duration) error {
	end := d.calls.begin("purging "+e.file, callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	trash, err := o.root.Sub(disk.TrashDir)
	if err != nil {
		return err
	}
	defer trash.Close()
	slice, cancel := context.WithTimeout(ctx, t)
	defer cancel()
	err = o.removeVolume(slice, trash, e.file)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errSlice
	}
	return err
}

// clearSoon makes btrfs clear away what was just removed, and then lets the purge look
// again.
func (d *diskState) clearSoon() {
	end := d.calls.begin("btrfs's sync", time.Minute) // all that pods have written goes to the disk
	defer end()
	o, err := d.open()
	if err != nil {
		return
	}
	defer o.close()
	if quota.ClearAway(o.root.File) == nil {
		time.AfterFunc(clearTime, d.wakePurge)
	}
}

// commitMark lets btrfs commit the renames of an entry before anything in it is removed.
// Of a directory that was renamed and synced, had a subvolume, and was removed, all
// between two commits, btrfs (seen on Linux 6.18) leaves a log that it cannot replay: after
// a power cut the whole filesystem is not mounted any more (btrfs_recover_log_trees,
// errno=-2), until somebody says `btrfs rescue zero-log`.
func (d *diskState) commitMark(e entry) error {
	if d.filesystem != btrfsType {
		return nil
	}
	d.mu.Lock()
	t := d.trash.byID[e.trashID()]
	committed := t != nil && d.trash.committed.After(t.marked)
	d.mu.Unlock()
	if committed {
		return nil
	}
	return d.syncFilesystem()
}
