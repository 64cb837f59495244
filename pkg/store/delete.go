package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Delete takes a volume out of use: its directory is renamed into the trash, which
// is purged in the background once its time has come. Before that, mayDelete is
// called with the data directory and can refuse. Delete returns ErrNotFound, and
// has nothing to do, if the volume is gone or its ID is none of hostdir's.
func (s *Store) Delete(ctx context.Context, volumeID string, mayDelete func(data *os.File) error) error {
	_, err := withVolume(ctx, s, volumeID, "deletion", func(v *openVolume) (struct{}, error) {
		return struct{}{}, v.delete(ctx, mayDelete)
	})
	if errors.Is(err, errdefs.ErrNotFound) {
		if failed := s.SyncDeleted(ctx, volumeID); failed != nil {
			return fmt.Errorf("volume %s: its deletion cannot be made to last: %w", volumeID, failed)
		}
	}
	return err
}

func (v *openVolume) delete(ctx context.Context, mayDelete func(data *os.File) error) error {
	data, err := openData(v.dir, v.record)
	switch {
	case err == nil:
		err = mayDelete(data.File)
		data.Close()
		if err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist): // what is gone is not mounted either
		return err
	}
	if v.enforces(&Volume{Record: v.record}) {
		_ = v.countVolume(v.id.Name, v.record) // it is others' from now on, as much as is known
	}
	volumes, err := v.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	e, err := moveToTrash(v.root, volumes, v.id.Name)
	if err != nil {
		return err
	}
	v.discard(e, v.record)
	v.dropLink(ctx, v.record.Claim, v.id.Name)
	v.wakePurge()
	return nil
}

// SyncDeleted makes sure that no power cut brings back a volume that is gone: the
// call that deleted it may have failed, or met a crash, before it was synced.
func (s *Store) SyncDeleted(ctx context.Context, volumeID string) error {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return nil // there never was one
	}
	d, err := s.diskOf(id)
	if err != nil {
		return err
	}
	_, err = run(ctx, d, change, "syncing a deletion", func() (struct{}, error) {
		o, err := d.open()
		if err != nil {
			return struct{}{}, err
		}
		defer o.close()
		return struct{}{}, unreadable(errors.Join(o.root.SyncSub(disk.VolumesDir), o.root.SyncSub(disk.TrashDir)))
	})
	return err
}

// forget drops a volume that is gone from the disk from memory, and its link for
// people.
func (d *diskState) forget(ctx context.Context, name string) {
	v := d.volume(name)
	if v == nil {
		return
	}
	d.setVolume(name, nil)
	o, err := d.open()
	if err != nil {
		return // the next start removes the link
	}
	defer o.close()
	o.dropLink(ctx, v.Claim, name)
}

// dropLink is for a volume that is gone. A link that stays harms nobody.
func (o openDisk) dropLink(ctx context.Context, c Claim, name string) {
	o.links.Lock()
	defer o.links.Unlock()
	if err := o.linkOlder(c, name); err != nil {
		klog.FromContext(ctx).Error(err, "link under claims not removed, the next start does it", "claim", c.String(), "path", o.path)
	}
}
