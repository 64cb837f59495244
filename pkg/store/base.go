package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// base is one base directory of a pool.
type base struct {
	path string

	mu sync.Mutex // guards all below
	// pool is the pool that the configuration puts it in.
	pool Pool
	// uuid is the marker's, once the directory has been seen healthy. It
	// never changes: another marker at this path is another pool.
	uuid string
	// broken is why the base directory cannot be used, nil while it can.
	broken error
	// volumes are what the scan found and what was created since, by name.
	volumes map[string]*Volume

	// links serialises changes below claims/.
	links sync.Mutex
}

// Volume is a volume as the store knows it.
type Volume struct {
	Record
	// Path is the volume's data directory on the node, for people. hostdir
	// itself goes through descriptors.
	Path string
	// Quarantine is why the volume is refused, nil for a sound one. Of a
	// volume in quarantine only the ID is known.
	Quarantine error
}

// open opens the base directory if it is the one it was, and healthy. Whatever
// is written below it is written through the descriptor that open returns.
func (b *base) open() (*dir, error) {
	b.mu.Lock()
	uuid, broken := b.uuid, b.broken
	b.mu.Unlock()
	if broken != nil {
		return nil, b.unavailable(broken)
	}
	d, err := openDir(b.path)
	if err != nil {
		return nil, b.unavailable(err)
	}
	if err := d.checkMarker(uuid); err != nil {
		d.close()
		return nil, b.unavailable(err)
	}
	return d, nil
}

func (d *dir) checkMarker(uuid string) error {
	m, err := d.readMarker()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its %s is gone: is the disk mounted?", markerFile)
	case err != nil:
		return err
	case m.UUID != uuid:
		return fmt.Errorf("it holds pool %s, it held %s: the disk was exchanged; restart hostdir's pod on this node if that is right", m.UUID, uuid)
	}
	return nil
}

func (b *base) unavailable(err error) error {
	return fmt.Errorf("%w: base directory %s: %w", errdefs.ErrUnavailable, b.path, err)
}

// refresh finds out whether the base directory can be used, makes an empty one
// hostdir's own, and scans it when it is seen healthy for the first time. owner
// holds the base directories that were refreshed before it, by UUID.
func (b *base) refresh(ctx context.Context, pool Pool, owner map[string]*base) {
	b.mu.Lock()
	b.pool = pool
	known := b.uuid
	b.mu.Unlock()

	uuid, volumes, err := b.inspect(ctx, pool, known, owner)
	if err == nil {
		owner[uuid] = b
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
	if err == nil && known == "" {
		b.uuid, b.volumes = uuid, volumes
	}
}

// inspect does the work of refresh. It scans only if the base directory's UUID
// is not known yet, and never one that is in use at another path: the scan
// clears away what is half built, which may be in the making there.
func (b *base) inspect(ctx context.Context, pool Pool, known string, owner map[string]*base) (uuid string, volumes map[string]*Volume, err error) {
	d, err := openDir(b.path)
	if err != nil {
		return "", nil, err
	}
	defer d.close()
	if pool.RequireMountPoint {
		if err := d.checkMountPoint(); err != nil {
			return "", nil, err
		}
	}
	uuid = known
	if known != "" {
		err = d.checkMarker(known)
	} else {
		uuid, err = d.ownMarker()
	}
	if err != nil {
		return "", nil, err
	}
	if other := owner[uuid]; other != nil {
		return "", nil, fmt.Errorf("it is the same directory as %s, or a copy of it: pool %s is in use there", other.path, uuid)
	}
	if known == "" {
		volumes, err = b.scan(ctx, d, uuid)
	}
	return uuid, volumes, err
}

// ownMarker returns the UUID of the marker, which an empty directory is given.
func (d *dir) ownMarker() (uuid string, err error) {
	m, err := d.readMarker()
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.initialise(time.Now()); err == nil {
			m, err = d.readMarker()
		}
	}
	return m.UUID, err
}

// volume returns what is known of a volume, nil if there is none.
func (b *base) volume(name string) *Volume {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.volumes[name]
}

// setVolume records a volume, or with nil that it is gone.
func (b *base) setVolume(name string, v *Volume) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v == nil {
		delete(b.volumes, name)
		return
	}
	b.volumes[name] = v
}

// dataPath is where people find the data of a volume.
func (b *base) dataPath(name string) string {
	return b.path + "/" + volumesDir + "/" + name + "/" + dataDir
}
