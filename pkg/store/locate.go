package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// located is a volume that was found on its disk, with the descriptors that
// lead to it. What the store has in memory does not count here: the disk does.
type located struct {
	id     VolumeID
	record Record
	base   *base
	pool   *dir // the base directory
	dir    *dir // the volume's directory
}

func (l *located) close() {
	l.dir.close()
	l.pool.close()
}

func (l *located) volume() Volume {
	return Volume{Record: l.record, Path: l.base.dataPath(l.id.Name)}
}

// data opens the volume's data directory.
func (l *located) data() (*dir, error) {
	data, err := l.dir.sub(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its data directory %s is gone", errdefs.ErrNotFound, l.dir.path(dataDir))
	}
	return data, unreadable(err)
}

// Use calls do with the open data directory of a volume. Meanwhile no other call
// works on this volume. The descriptor is closed when do returns.
func (s *Store) Use(ctx context.Context, volumeID string, do func(data *os.File) error) error {
	return s.withVolume(ctx, volumeID, func(l *located) error {
		data, err := l.data()
		if err != nil {
			return err
		}
		defer data.close()
		return do(data.f)
	})
}

// withVolume locks a volume, finds it and calls do with it.
func (s *Store) withVolume(ctx context.Context, volumeID string, do func(l *located) error) error {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return err
	}
	unlock, err := s.locks.lock(id.Name)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := s.locate(id)
	switch {
	case err == nil:
		defer l.close()
		err = do(l)
	case errors.Is(err, errdefs.ErrNotFound):
		s.forget(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", id, err)
	}
	return nil
}

// WhileLocked calls do while no other call works on the volume, whether there
// is such a volume or not.
func (s *Store) WhileLocked(volumeID string, do func() error) error {
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

// Volume returns what the disk tells of a volume.
func (s *Store) Volume(volumeID string) (Volume, error) {
	l, err := s.look(volumeID)
	if err != nil {
		return Volume{}, err
	}
	defer l.close()
	return l.volume(), nil
}

// look finds a volume without its lock, for those who only read: they keep
// nobody waiting, and see what a call under way makes them see.
func (s *Store) look(volumeID string) (*located, error) {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return nil, err
	}
	l, err := s.locate(id)
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", id, err)
	}
	return l, nil
}

// locate finds a volume. It returns ErrNotFound only if the pool is healthy and
// the volume's directory is not there.
func (s *Store) locate(id VolumeID) (*located, error) {
	b, err := s.baseOf(id)
	if err != nil {
		return nil, err
	}
	pool, err := b.open()
	if err != nil {
		return nil, err
	}
	volume, err := pool.sub(volumesDir + "/" + id.Name)
	if errors.Is(err, fs.ErrNotExist) {
		// Where all volumes are gone at once, none of them was deleted.
		if _, gone := pool.lstat(volumesDir); gone != nil {
			pool.close()
			return nil, b.unavailable(fmt.Errorf("its directory %s is gone; find out who moved it, and put it back: %w", volumesDir, gone))
		}
		err = fmt.Errorf("%w: the base directory %s is healthy, but has no %s/%s", errdefs.ErrNotFound, b.path, volumesDir, id.Name)
	}
	if err != nil {
		pool.close()
		return nil, unreadable(err)
	}
	l := &located{id: id, base: b, pool: pool, dir: volume}
	if l.record, err = volume.readRecord(id); err != nil {
		l.close()
		if err = unreadable(err); !errors.Is(err, errdefs.ErrUnavailable) {
			err = fmt.Errorf("it is in quarantine, neither published nor deleted: %w", err)
		}
		return nil, err
	}
	return l, nil
}

// baseOf returns the base directory that a volume's ID names. A disk that was
// moved to another path of the configuration is found there.
func (s *Store) baseOf(id VolumeID) (*base, error) {
	var was *base
	var away, broken error
	for _, b := range s.snapshot() {
		status := b.status()
		switch {
		case status.UUID == id.Base && status.Err == nil:
			return b, nil
		case status.UUID == id.Base:
			was = b
		case status.Err != nil && b.had(id.Base):
			away = b.unavailable(status.Err)
		case status.Err != nil:
			broken = b.unavailable(status.Err)
		}
	}
	switch {
	case was != nil:
		return was, nil
	case away != nil:
		return nil, away
	case broken != nil:
		return nil, fmt.Errorf("pool %s is not seen on node %s, and may be the one that cannot be used: %w", id.Base, s.node, broken)
	default:
		return nil, fmt.Errorf("%w: no base directory of node %s holds pool %s", errdefs.ErrElsewhere, s.node, id.Base)
	}
}
