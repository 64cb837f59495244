package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// openVolume is a volume that was found on its disk, with the descriptors that
// lead to it. What the store has in memory does not count here: the disk does.
type openVolume struct {
	openDisk
	id     VolumeID
	record Record
	dir    *dir.Dir // the volume's directory
}

func (v *openVolume) close() {
	v.dir.Close()
	v.openDisk.close()
}

func (v *openVolume) volume() Volume {
	return Volume{Record: v.record, Dir: v.id.Name, Path: v.dataPath(v.id.Name)}
}

// data opens the volume's data directory.
func (v *openVolume) data() (*dir.Dir, error) {
	data, err := openData(v.dir, v.record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its data directory %s is gone", errdefs.ErrNotFound, v.dir.Path(dataDir))
	}
	return data, unreadable(err)
}

// WithData calls do with the open data directory of a volume that is given to a pod.
// Meanwhile no other
// call works on this volume. The descriptor is closed when do returns.
func (s *Store) WithData(ctx context.Context, volumeID string, do func(data *os.File) error) error {
	_, err := withVolume(ctx, s, volumeID, "publish", func(v *openVolume) (struct{}, error) {
		data, err := v.data()
		if err != nil {
			return struct{}{}, err
		}
		defer data.Close()
		v.notePublish(v.id.Name)
		return struct{}{}, do(data.File)
	})
	return err
}

// ReadData is WithData for those who only read: it does not take the volume's lock,
// and keeps nobody else waiting.
func (s *Store) ReadData(ctx context.Context, volumeID string, do func(data *os.File) error) error {
	_, err := readVolume(ctx, s, volumeID, func(v *openVolume) (struct{}, error) {
		data, err := v.data()
		if err != nil {
			return struct{}{}, err
		}
		defer data.Close()
		return struct{}{}, do(data.File)
	})
	return err
}

// withVolume locks a volume, finds it and calls do with it. The lock is held until
// do has returned, also if the caller does not wait for that.
func withVolume[T any](ctx context.Context, s *Store, volumeID, what string, do func(v *openVolume) (T, error)) (T, error) {
	var none T
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return none, err
	}
	d, err := s.diskOf(id)
	if err != nil {
		return none, fmt.Errorf("volume %s: %w", id, err)
	}
	unlock, err := s.locks.lock(id.Name)
	if err != nil {
		if hung := d.calls.unresponsive(); hung != nil {
			err = fmt.Errorf("volume %s: %w", id, d.unavailable(hung))
		}
		return none, err
	}
	j, err := start(ctx, d, change, what+" of volume "+volumeID, func() (T, error) {
		defer unlock()
		v, err := d.find(id)
		switch {
		case err == nil:
			defer v.close()
			return do(v)
		case errors.Is(err, errdefs.ErrNotFound):
			d.forget(ctx, id.Name)
		}
		return none, err
	})
	if err != nil {
		unlock()
		return none, fmt.Errorf("volume %s: %w", id, err)
	}
	result, err := j.wait(ctx)
	if err != nil {
		return result, fmt.Errorf("volume %s: %w", id, err)
	}
	return result, nil
}

// WithLock calls do while no other call works on the volume, whether there is such
// a volume or not. do must not wait for the volume's disk.
func (s *Store) WithLock(volumeID string, do func() error) error {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return do()
	}
	unlock, err := s.locks.lock(id.Name)
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// Volume returns what the disk says of a volume.
func (s *Store) Volume(ctx context.Context, volumeID string) (Volume, error) {
	return readVolume(ctx, s, volumeID, func(v *openVolume) (Volume, error) { return v.volume(), nil })
}

// readVolume finds a volume without its lock, for those who only read: they keep
// nobody waiting, and see what a call under way makes them see.
func readVolume[T any](ctx context.Context, s *Store, volumeID string, do func(v *openVolume) (T, error)) (T, error) {
	var none T
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return none, err
	}
	d, err := s.diskOf(id)
	if err != nil {
		return none, fmt.Errorf("volume %s: %w", id, err)
	}
	result, err := run(ctx, d, read, "a look at volume "+volumeID, func() (T, error) {
		v, err := d.find(id)
		if err != nil {
			return none, err
		}
		defer v.close()
		return do(v)
	})
	if err != nil {
		return none, fmt.Errorf("volume %s: %w", id, err)
	}
	return result, nil
}

// find finds a volume. It returns ErrNotFound only if the disk is healthy and the
// volume's directory is not there.
func (d *diskState) find(id VolumeID) (*openVolume, error) {
	o, err := d.open()
	if err != nil {
		return nil, err
	}
	volume, err := o.root.Sub(disk.VolumesDir + "/" + id.Name)
	if errors.Is(err, fs.ErrNotExist) {
		// Where all volumes are gone at once, none of them was deleted.
		if _, gone := o.root.Lstat(disk.VolumesDir); gone != nil {
			o.close()
			return nil, d.unavailable(fmt.Errorf("its directory %s is gone; find out who moved it, and put it back: %w", disk.VolumesDir, gone))
		}
		err = fmt.Errorf("%w: the disk %s is healthy, but has no %s/%s", errdefs.ErrNotFound, d.path, disk.VolumesDir, id.Name)
	}
	if err != nil {
		o.close()
		return nil, unreadable(err)
	}
	v := &openVolume{openDisk: o, id: id, dir: volume}
	if v.record, err = readRecord(volume, id); err != nil {
		v.close()
		if err = unreadable(err); !errors.Is(err, errdefs.ErrUnavailable) {
			err = fmt.Errorf("it is in quarantine, neither published nor deleted: %w", err)
		}
		return nil, err
	}
	return v, nil
}

// noSpace makes an error of the kinds of dir.IsNoSpace an ErrNoSpace. What a signal
// has interrupted, as some filesystems let it, is worth another try here.
func noSpace(err error) error {
	switch {
	case errors.Is(err, errdefs.ErrBusy): // something is left behind
		return err
	case dir.IsNoSpace(err):
		return fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	case dir.IsPassing(err): // EINTR
		return fmt.Errorf("%w: %w", errdefs.ErrBusy, err)
	}
	return err
}

// unreadable makes an error about the disk or the process, which says nothing of
// the volume that was to be read, an ErrUnavailable.
func unreadable(err error) error {
	if dir.IsUnreadable(err) {
		return fmt.Errorf("%w: %w", errdefs.ErrUnavailable, err)
	}
	return err
}
