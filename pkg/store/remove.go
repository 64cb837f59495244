package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// removeVolume removes a volume's directory, or what there is of it. The record
// goes last: while it is there, one knows whose files these were, and the ID that
// it names is given to nobody else.
func (o openDisk) removeVolume(ctx context.Context, parent *dir.Dir, name string) error {
	volume, err := parent.Sub(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = o.removeData(ctx, volume)
		volume.Close()
		if err != nil {
			return err
		}
	}
	return parent.RemoveTree(ctx, name)
}

// clearAway removes what was half built. Where the filesystem takes its time
// with that, the purge sees to the rest.
func (o openDisk) clearAway(ctx context.Context, volumes *dir.Dir, building string) error {
	err := o.removeVolume(ctx, volumes, building)
	if errors.Is(err, errdefs.ErrBusy) {
		_, err = moveToTrash(o.root, volumes, building)
	}
	return err
}

// removeData removes the data of a volume, and then its limit, or that of a snapshot.
func (o openDisk) removeData(ctx context.Context, volume *dir.Dir) error {
	r, err := readAnyRecord(volume)
	if err = unreadable(err); errors.Is(err, errdefs.ErrUnavailable) {
		return err // the record may be readable another time, and name a limit
	}
	if err != nil {
		snapshot, err := readAnySnapshot(volume)
		if err = unreadable(err); errors.Is(err, errdefs.ErrUnavailable) {
			return err
		}
		return o.removeSubvolume(ctx, volume, snapshot.Subvolume)
	}
	limits, _ := o.limiter()
	if r.Quota == nil || quota.KindOf(limits) != r.Quota.Kind {
		return o.removeSubvolume(ctx, volume, r.Subvolume) // what cannot be known of a limit cannot be given back
	}
	if data, err := volume.Sub(dataDir); err == nil {
		// At its limit, btrfs has no room even to remove what is in it.
		err = limits.Set(data.File, r.Quota.ID, quota.Limit{})
		data.Close()
		if err != nil {
			klog.FromContext(ctx).V(4).Info("limit not lifted before the purge", "volumeID", r.ID, "reason", err.Error())
		}
	}
	if err := volume.RemoveTree(ctx, dataDir); err != nil {
		return err
	}
	if o.hasLimit(r.Quota) {
		return nil // a crash came after the next line, and the ID is another volume's by now
	}
	return limits.Remove(volume.File, r.Quota.ID)
}

// removeSubvolume removes data that nobody limits, at once if it is a btrfs subvolume, and
// then what btrfs has counted of that.
func (o openDisk) removeSubvolume(ctx context.Context, parent *dir.Dir, id quota.ID) error {
	if id == 0 || quota.RemoveSubvolume(parent.File, dataDir) != nil {
		if err := parent.RemoveTree(ctx, dataDir); err != nil {
			return err
		}
	}
	if limits, _ := o.limiter(); id != 0 && quota.KindOf(limits) == quota.Btrfs {
		return limits.Remove(parent.File, id)
	}
	return nil
}

// hasLimit reports whether a volume is known by this quota, on this disk or on
// another one of the same filesystem.
func (d *diskState) hasLimit(q *Quota) bool {
	return slices.ContainsFunc(append(d.peers(), d), func(d *diskState) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, v := range d.volumes.byName {
			if v.Quota.same(q) {
				return true
			}
		}
		return false
	})
}
