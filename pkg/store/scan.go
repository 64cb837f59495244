package store

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"k8s.io/klog/v2"
)

// newPrefix marks a volume that is being built. No volume's name begins so.
const newPrefix = ".new-"

// scan reads the records of a base directory and moves what a crash left half
// built into the trash. A volume whose record cannot be understood is put into
// quarantine; the others are served.
func (b *base) scan(ctx context.Context, d *dir, uuid string) (map[string]*Volume, error) {
	// A crash may have kept the marker from being synced, and with it the pool.
	if err := d.sync(); err != nil {
		return nil, err
	}
	all, err := d.sub(volumesDir)
	if err != nil {
		return nil, err
	}
	defer all.close()
	names, err := all.names()
	if err != nil {
		return nil, err
	}
	log := klog.FromContext(ctx)
	volumes := make(map[string]*Volume, len(names))
	for _, name := range names {
		if strings.HasPrefix(name, newPrefix) {
			if err := d.moveToTrash(all, name); err != nil {
				log.Error(err, "half-built volume not cleared away", "path", all.path(name))
			}
			continue
		}
		id := VolumeID{Base: uuid, Name: name}
		if _, err := ParseVolumeID(id.String()); err != nil {
			continue // a foreign file: not ours to touch
		}
		v := &Volume{Path: b.dataPath(name)}
		v.Record, v.Quarantine = all.scanVolume(ctx, id)
		if v.Quarantine != nil {
			v.Record = Record{ID: id.String()}
			log.Error(v.Quarantine, "volume in quarantine: it is neither published nor deleted", "volumeID", v.ID, "path", all.path(name))
		}
		volumes[name] = v
	}
	b.links.Lock()
	defer b.links.Unlock()
	if err := d.mendLinks(volumes); err != nil {
		log.Error(err, "links under claims not mended, volumes are served all the same", "path", b.path)
	}
	return volumes, nil
}

func (d *dir) scanVolume(ctx context.Context, id VolumeID) (Record, error) {
	sub, err := d.sub(id.Name)
	if err != nil {
		return Record{}, err
	}
	defer sub.close()
	r, err := sub.readRecord(id)
	if err != nil {
		return r, err // what is beside it may be the only record
	}
	if err := sub.unlink(recordNewFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		klog.FromContext(ctx).Error(err, "what a crash has left of a new record not cleared away", "volumeID", id.String())
	}
	return r, nil
}
