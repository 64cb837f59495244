package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// base is one base directory of a pool.
type base struct {
	path string

	mu sync.Mutex // guards all below
	// pool is the pool that the configuration puts it in.
	pool Pool
	// uuid and generation are the marker's, once the directory has been seen
	// healthy, and inode the directory that it was then. They never change:
	// for another pool, or a copy of this one, there is another base.
	uuid       string
	generation int
	inode      inode
	// nextUUID is for the pool that is made of an empty directory. It stays
	// the same until that succeeds.
	nextUUID string
	// lastPool is the pool that this node had here last, "" if it is not known,
	// of a base directory that was refused.
	lastPool string
	// mountPoint tells that a disk was mounted there when it was taken.
	mountPoint bool
	// broken is why the base directory cannot be used, nil while it can.
	broken error
	// volumes are what the scan found and what was created since, by name.
	// promised and used are their sums; promised includes pending, which is for
	// what is being created.
	volumes  map[string]*Volume
	promised int64
	pending  int64
	used     int64
	// others is what the filesystem held besides volumes when it was counted.
	others int64
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
	uuid, generation, broken := b.uuid, b.generation, b.broken
	b.mu.Unlock()
	if broken != nil {
		return nil, b.unavailable(broken)
	}
	d, err := openBase(b.path)
	if err != nil {
		return nil, b.unavailable(err)
	}
	if err := d.checkMarker(uuid, generation); err != nil {
		d.close()
		return nil, b.unavailable(err)
	}
	return d, nil
}

// openBase opens a base directory, whatever there is.
func openBase(path string) (*dir, error) {
	d, err := openDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(Absent, "it is not there: %w", err)
	}
	return d, err
}

// checkMarker returns an error unless d is the base directory that it was.
func (d *dir) checkMarker(uuid string, generation int) error {
	m, err := d.readMarker()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(Absent, "its %s is gone: is the disk mounted?", markerFile)
	case err != nil:
		return err
	case m.UUID != uuid:
		return refuse(Exchanged, "it holds pool %s, it held %s: the disk was exchanged", m.UUID, uuid)
	case m.Generation != generation:
		return refuse(Copied, "it holds generation %d of pool %s, it held generation %d: the disk was exchanged for a copy", m.Generation, uuid, generation)
	}
	return nil
}

func (b *base) unavailable(err error) error {
	return fmt.Errorf("%w: base directory %s: %w", errdefs.ErrUnavailable, b.path, err)
}

// newBase is a base directory before it was looked at.
func newBase(path string, pool Pool) *base {
	return &base{path: path, pool: pool, nextUUID: uuid.NewString(), broken: errors.New("not looked at yet"), limits: quota.Unlimited}
}

// is tells whether x is the directory that was last used, with the same pool.
func (b *base) is(x *sight) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return x.marker != nil && b.uuid == x.marker.UUID && b.generation == x.marker.Generation && b.inode == x.inode
}

// refuse says why the base directory cannot be used from now on.
func (b *base) refuse(pool Pool, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pool, b.broken = pool, why
}

// had tells whether this pool was here last, of a base directory that was refused.
func (b *base) had(uuid string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastPool == uuid
}

func (b *base) rememberPool(uuid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastPool = uuid
}

// take puts the directory that x saw to use. An empty one is made hostdir's own,
// after announce was told its UUID. One that was not in use is scanned: never
// one that is, for the scan clears away what is half built.
func (b *base) take(ctx context.Context, x *sight, announce func(uuid string)) error {
	b.mu.Lock()
	b.pool = x.pool
	known, ready := b.uuid, b.broken == nil
	if ready {
		x.mountPoint = b.mountPoint
	}
	b.mu.Unlock()
	if ready {
		return nil
	}
	d, err := openBase(b.path)
	if err != nil {
		return err
	}
	defer d.close()
	now, err := d.inode()
	if err != nil {
		return err
	}
	if now != x.inode {
		return refuse(Exchanged, "something else was mounted there a moment ago: hostdir looks again soon")
	}
	if x.marker == nil {
		announce(b.nextUUID)
		m, err := d.initialise(b.nextUUID, time.Now())
		if err != nil {
			return err
		}
		x.marker = &m
	}
	if err := d.checkMarker(x.marker.UUID, x.marker.Generation); err != nil {
		return err
	}
	if err := d.checkRename(); err != nil {
		return err
	}
	limits, whyUnlimited := d.detectLimits()
	var volumes map[string]*Volume
	if known == "" {
		_ = d.unlink(markerNewFile) // what an accept left in a crash; it harms nobody
		if volumes, err = b.scan(ctx, d, x.marker.UUID); err != nil {
			return err
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken, b.inode, b.mountPoint = nil, x.inode, x.mountPoint
	b.limits, b.whyUnlimited = limits, whyUnlimited
	if known == "" {
		b.uuid, b.generation, b.volumes = x.marker.UUID, x.marker.Generation, volumes
		for _, v := range volumes {
			b.promised += v.promised()
		}
	}
	return nil
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
	b.pending += bytes
}

// dataPath is where people find the data of a volume.
func (b *base) dataPath(name string) string {
	return b.path + "/" + volumesDir + "/" + name + "/" + dataDir
}
