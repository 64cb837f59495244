package store

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
)

// newPrefix marks a volume that is being built. No volume's name begins so.
const newPrefix = ".new-"

// scan reads the records of a disk that is being taken into use, and moves what a
// crash left half built into the trash, unless it can be gone on with. A volume whose
// record cannot be understood is put into quarantine; the others are served.
func (s *Store) scan(ctx context.Context, o openDisk, x *slot) error {
	// A crash may have kept the marker from being synced, and with it the disk.
	if err := o.root.Sync(); err != nil {
		return err
	}
	all, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer all.Close()
	names, err := all.Names()
	if err != nil {
		return err
	}
	s.announce(x, names)
	log := klog.FromContext(ctx)
	for _, name := range names {
		if strings.HasPrefix(name, newPrefix) {
			if err := o.unfinishedFound(all, disk.VolumesDir, name, strings.TrimPrefix(name, newPrefix)); err != nil {
				log.Error(err, "half-built volume not cleared away", "path", all.Path(name))
			}
			continue
		}
		id := o.volumeID(name)
		if !id.isValid() {
			continue // a foreign file: not ours to touch
		}
		v := &Volume{Dir: name, Path: o.dataPath(name)}
		v.Record, v.Quarantine = scanVolume(ctx, all, id)
		if dir.IsPassing(v.Quarantine) {
			return v.Quarantine // it says nothing of the volume: all is read again soon
		}
		if v.Quarantine != nil {
			v.Record = Record{ID: id.String()}
			log.Error(v.Quarantine, "volume in quarantine: it is neither published nor deleted", "volumeID", v.ID, "path", all.Path(name))
		}
		o.setVolume(name, v)
	}
	if err := s.scanSnapshots(ctx, o); err != nil {
		return err
	}
	o.links.Lock()
	defer o.links.Unlock()
	if err := o.mendLinks(); err != nil {
		log.Error(err, "links under claims not put right, volumes are served all the same", "path", o.path)
	}
	return nil
}

// announce lets nobody make a volume elsewhere that is on this disk.
func (s *Store) announce(x *slot, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.names = make(map[string]bool, len(names))
	for _, name := range names {
		x.names[name] = true
	}
}

func scanVolume(ctx context.Context, volumes *dir.Dir, id VolumeID) (Record, error) {
	volume, err := volumes.Sub(id.Name)
	if err != nil {
		return Record{}, err
	}
	defer volume.Close()
	r, err := readRecord(volume, id)
	if err != nil {
		return r, err // what is beside it may be the only record
	}
	if err := volume.Unlink(recordNewFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		klog.FromContext(ctx).Error(err, "what a crash has left of a new record not cleared away", "volumeID", id.String())
	}
	return r, nil
}
