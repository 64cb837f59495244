package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// DeleteSnapshot takes a snapshot out of use, or ends the making of one: its directory is
// renamed into the trash and purged in the background. It returns ErrNotFound, and has
// nothing to do, if the snapshot is gone or its ID is none of hostdir's.
func (s *Store) DeleteSnapshot(ctx context.Context, snapshotID string) error {
	id, err := ParseSnapshotID(snapshotID)
	if err != nil {
		return err
	}
	d, err := s.diskOf(VolumeID(id))
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", id, err)
	}
	if err := s.jobs.stop(ctx, snapshotLock(id.Name), d.silent); err != nil {
		return fmt.Errorf("snapshot %s: %w", id, err)
	}
	unlock, err := s.locks.lock(snapshotLock(id.Name))
	if err != nil {
		return err
	}
	j, err := start(ctx, d, change, "deletion of snapshot "+snapshotID, func() (struct{}, error) {
		defer unlock()
		return struct{}{}, d.deleteSnapshot(id)
	})
	if err != nil {
		unlock()
		return fmt.Errorf("snapshot %s: %w", id, err)
	}
	if _, err = j.wait(ctx); err != nil {
		return fmt.Errorf("snapshot %s: %w", id, err)
	}
	return nil
}

func (d *diskState) deleteSnapshot(id SnapshotID) error {
	x, err := d.findSnapshot(id)
	if errors.Is(err, errdefs.ErrNotFound) {
		d.setSnapshot(id.Name, nil)
		return errors.Join(err, d.syncSnapshots(), d.dropUnfinishedSnapshot(id.Name))
	}
	if err != nil {
		return err
	}
	defer x.close()
	snapshots, err := x.root.Sub(disk.SnapshotsDir)
	if err != nil {
		return unreadable(err)
	}
	defer snapshots.Close()
	trash, err := x.root.Sub(disk.TrashDir)
	if err != nil {
		return unreadable(err)
	}
	defer trash.Close()
	// Nobody brings a snapshot back: what is there of it can be made again, or was to be
	// kept by deletionPolicy Retain.
	e := newEntry(id.Name, time.Now())
	e = entry{file: e.purgingName(), name: e.name}
	if err := snapshots.RenameTo(id.Name, trash, e.file); err != nil {
		return err
	}
	d.discardSnapshot(e, id.Name, x.record)
	// Never is the entry on disk in neither: where it goes comes first.
	if err := errors.Join(trash.Sync(), snapshots.Sync()); err != nil {
		return unreadable(err)
	}
	d.wakePurge()
	return nil
}

// dropUnfinishedSnapshot clears away what a restart has cut short.
func (d *diskState) dropUnfinishedSnapshot(name string) error {
	return d.drop(snapshotLock(name), unfinished{parent: disk.SnapshotsDir, name: newPrefix + name})
}

// syncSnapshots makes sure that no power cut brings back a snapshot that is gone.
func (d *diskState) syncSnapshots() error {
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	err = o.root.SyncSub(disk.SnapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return unreadable(errors.Join(err, o.root.SyncSub(disk.TrashDir)))
}

// discardSnapshot moves a snapshot to the trash. How much it has for itself of what it
// shares with others nobody knows until all are counted.
func (d *diskState) discardSnapshot(e entry, name string, r SnapshotRecord) {
	t := &trashed{entry: e, uncounted: true, marked: time.Now()}
	if r.Origin == "" {
		t.used, t.uncounted = &r.Bytes, false
		d.addForeign(r.Bytes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trash.byID[t.trashID()] = t
	d.snapshots.set(name, nil)
}
