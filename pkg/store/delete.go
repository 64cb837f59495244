package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Delete takes a volume out of use: its directory is renamed into the trash, which
// is purged in the background once its time has come. Before that, mayDelete is called
// with the data directory and can refuse. Delete returns ErrNotFound, and has
// nothing to do, if the volume is gone or its ID is none of hostdir's.
func (s *Store) Delete(ctx context.Context, volumeID string, mayDelete func(data *os.File) error) error {
	err := s.withVolume(ctx, volumeID, func(l *located) error {
		data, err := l.dir.sub(dataDir)
		switch {
		case err == nil:
			err = mayDelete(data.f)
			data.close()
			if err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrNotExist): // what is gone is not mounted either
			return err
		}
		volumes, err := l.pool.sub(volumesDir)
		if err != nil {
			return err
		}
		defer volumes.close()
		if err := l.pool.moveToTrash(volumes, l.id.Name); err != nil {
			return err
		}
		s.forget(ctx, l.id)
		s.wakePurge()
		return nil
	})
	if errors.Is(err, errdefs.ErrNotFound) {
		if failed := s.syncDeleted(volumeID); failed != nil {
			return fmt.Errorf("volume %s: its deletion cannot be made to last: %w", volumeID, failed)
		}
	}
	return err
}

// syncDeleted makes sure that no power cut brings back a volume that is gone: the
// call that deleted it may have failed, or met a crash, before it was synced.
func (s *Store) syncDeleted(volumeID string) error {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return nil // there never was one
	}
	b, err := s.baseOf(id)
	if err != nil {
		return err
	}
	pool, err := b.open()
	if err != nil {
		return err
	}
	defer pool.close()
	return unreadable(errors.Join(pool.syncSub(volumesDir), pool.syncSub(trashDir)))
}

// wakePurge lets the purge look at the trash now.
func (s *Store) wakePurge() {
	select {
	case s.trashed <- struct{}{}:
	default: // it is awake
	}
}

// forget drops a volume that is gone from the disk from memory, and its link
// for people. A link that stays harms nobody.
func (s *Store) forget(ctx context.Context, id VolumeID) {
	b, err := s.baseOf(id)
	if err != nil {
		return
	}
	v := b.volume(id.Name)
	if v == nil {
		return
	}
	b.setVolume(id.Name, nil)
	b.links.Lock()
	defer b.links.Unlock()
	pool, err := b.open()
	if err == nil {
		defer pool.close()
		err = b.linkOlder(pool, v.Claim, id.Name)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "link under claims not removed, the next start does it", "claim", v.Claim.String(), "path", b.path)
	}
}
