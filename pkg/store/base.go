package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
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
	// promised and used are their sums, with what is being created.
	volumes  map[string]*Volume
	promised int64
	used     int64
	// others is what the filesystem held besides volumes when it was counted.
	others int64
	// device is the filesystem's.
	device uint64
	// limits is how volumes made here are limited; whyUnlimited is why not, if
	// its kind is None.
	limits       quota.Quota
	whyUnlimited error

	// whyStuck is why entries of the trash could not be removed, by their name
	// while they are purged; shortened counts those that were purged early.
	whyStuck  map[string]error
	shortened int

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
	// Count is what the volume was last seen to hold.
	Count Count
}

// promised is what a volume takes of what can be promised: its capacity, or more
// if that is advisory and exceeded.
func (v *Volume) promised() int64 { return max(v.CapacityBytes, v.Count.Bytes) }

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
	known, wasBroken := b.uuid, b.broken != nil
	b.mu.Unlock()

	found, err := b.inspect(ctx, pool, known, wasBroken, owner)
	if err == nil {
		owner[found.uuid] = b
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
	if err != nil {
		return
	}
	b.device = found.device
	if wasBroken {
		b.limits, b.whyUnlimited = found.limits, found.whyUnlimited
	}
	if known == "" {
		b.uuid, b.volumes = found.uuid, found.volumes
		for _, v := range found.volumes {
			b.promised += v.promised()
		}
	}
}

// found is what inspect learns of a base directory.
type found struct {
	uuid         string
	device       uint64
	volumes      map[string]*Volume // only of one that was not known
	limits       quota.Quota        // only of one that could not be used before
	whyUnlimited error
}

// inspect does the work of refresh. It scans only if the base directory's UUID
// is not known yet, and never one that is in use at another path: the scan
// clears away what is half built, which may be in the making there.
func (b *base) inspect(ctx context.Context, pool Pool, known string, wasBroken bool, owner map[string]*base) (f found, err error) {
	d, err := openDir(b.path)
	if err != nil {
		return found{}, err
	}
	defer d.close()
	if pool.RequireMountPoint {
		if err := d.checkMountPoint(); err != nil {
			return found{}, err
		}
	}
	f.uuid = known
	if known != "" {
		err = d.checkMarker(known)
	} else {
		f.uuid, err = d.ownMarker()
	}
	if err != nil {
		return found{}, err
	}
	if other := owner[f.uuid]; other != nil {
		return found{}, fmt.Errorf("it is the same directory as %s, or a copy of it: pool %s is in use there", other.path, f.uuid)
	}
	room, err := d.room()
	if err != nil {
		return found{}, err
	}
	f.device = room.device
	if wasBroken {
		f.limits, f.whyUnlimited = d.detectLimits()
	}
	if known == "" {
		f.volumes, err = b.scan(ctx, d, f.uuid)
	}
	return f, err
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
	b.replace(name, v)
}

// setCount records what a volume holds, if it is still there.
func (b *base) setCount(name string, c Count) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.volumes[name]; v != nil {
		counted := *v
		counted.Count = c
		b.replace(name, &counted)
	}
}

// replace keeps the sums right. Volumes are never changed in place: others hold
// pointers to them.
func (b *base) replace(name string, v *Volume) {
	if old := b.volumes[name]; old != nil {
		b.promised -= old.promised()
		b.used -= old.Count.Bytes
		delete(b.volumes, name)
	}
	if v != nil {
		b.promised += v.promised()
		b.used += v.Count.Bytes
		b.volumes[name] = v
	}
}

// promise adds to what is promised, for a volume that is not recorded yet.
func (b *base) promise(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.promised += bytes
}

// dataPath is where people find the data of a volume.
func (b *base) dataPath(name string) string {
	return b.path + "/" + volumesDir + "/" + name + "/" + dataDir
}
