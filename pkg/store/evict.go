package store

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// A filesystem is full when less than this share of its room, or of its inodes,
// is free. The trash then makes room, though its time has not come.
//
// What destroys somebody's data goes by what is certain: by what the filesystem
// itself says is free, never by what can be allocated, which is an estimate.
const fullShare = 0.05

// settleTime is how long after an eviction the next one waits for the room of the
// first: btrfs shows it only after a commit, every 30 s by default, and XFS frees
// in the background.
const settleTime = 40 * time.Second

// evict removes the oldest entry that may go, if the disk's filesystem is full. It
// returns whether there may be more to do at once.
func (s *Store) evict(ctx context.Context, d *diskState) (again bool) {
	if d.sample() != nil || ctx.Err() != nil || !d.isFull() {
		return false
	}
	d.mu.Lock()
	settling := time.Now().Before(d.trash.settled)
	d.mu.Unlock()
	if settling {
		return false
	}
	t, ok := d.nextEvicted(s.clock.trusted())
	if !ok {
		return false
	}
	marked, err := d.mark(t.entry)
	if err != nil {
		return false // the next purge looks again
	}
	klog.FromContext(ctx).Info("the filesystem is full: a deleted volume is purged before its time, nothing brings it back now", "path", d.path, "entry", t.file, "volumeID", t.record.ID)
	d.mu.Lock()
	d.trash.evicted++
	d.mu.Unlock()
	before := d.free()
	for err = errSlice; errors.Is(err, errSlice); {
		err = s.purgeTurn(ctx, d, marked)
	}
	if err == nil {
		_ = d.syncFilesystem()
		_ = d.sample()
		if !d.isFull() {
			return false
		}
		// It goes on once what the entry held is back.
		if t.used != nil && *t.used > 0 && d.free()-before >= *t.used/10*9 {
			return true
		}
	}
	// Where that is not known, or not seen yet, or the filesystem is still clearing
	// the entry away, the next one waits.
	d.mu.Lock()
	d.trash.settled = time.Now().Add(settleTime)
	d.mu.Unlock()
	return false
}

// isFull reports whether the trash has to make room, by the last look.
func (d *diskState) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.space
	return s.err == nil && !s.at.IsZero() && !s.ReadOnly &&
		(float64(s.Free) < fullShare*float64(s.Size) || float64(s.FreeInodes) < fullShare*float64(s.Inodes))
}

// nextEvicted returns the oldest entry that may be purged before its time.
func (d *diskState) nextEvicted(clockTrusted bool) (next trashed, ok bool) {
	if !clockTrusted {
		return trashed{}, false
	}
	pool := d.poolNow()
	for _, t := range d.trashList() {
		if t.isPurging() || t.record == nil {
			continue
		}
		_, least := retention(pool, t.record.Class)
		if !time.Now().Before(t.deleted.Add(least)) {
			return t, true
		}
	}
	return trashed{}, false
}

// syncFilesystem lets the filesystem write down, and give back, what was removed.
func (d *diskState) syncFilesystem() error {
	end := d.calls.begin("syncfs", time.Minute) // all that pods have written goes to the disk
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	began := time.Now()
	if err := o.root.Wrap("syncfs", ".", unix.Syncfs(o.root.FD())); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trash.committed = began
	return nil
}
