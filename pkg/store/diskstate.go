package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// diskState is a disk in use: its volumes, its room and its trash as the store
// knows them. It is made anew whenever a disk is taken into use, so that nothing
// that was known of it before, or of another disk, is taken for true.
type diskState struct {
	path   string
	id     disk.Identity
	marker disk.MarkerCache
	// filesystem is the type of the one that the disk is on.
	filesystem string
	// storage is the same for all disks that share room: see dir.StorageID.
	storage string
	calls   *calls
	// peers returns the other disks in use that share it.
	peers func() []*diskState
	// wake lets the purge look at the trash now.
	wake chan struct{}
	// copies holds those who copy what the disk holds.
	copies chan struct{}
	// stop ends what works in the background on this disk.
	stop context.CancelFunc
	// links serialises changes below claims/.
	links sync.Mutex
	// detecting is held while it is found out how volumes can be limited.
	detecting sync.Mutex

	mu sync.Mutex // guards all below
	// pool is the one that the configuration puts the disk in.
	pool config.Pool
	// retired is why the disk is not in use any more, nil while it is.
	retired error
	// limits is how volumes made here are limited, nil if they are not, and why.
	limits      quota.Quota
	whyAdvisory error
	volumes     volumeSet
	snapshots   snapshotSet
	// publishes counts for each volume how often it was given to a pod.
	publishes map[string]int
	// cordonedSince is the marker's.
	cordonedSince time.Time
	// pending is allocated to volumes that are being made, or are growing.
	pending int64
	space   space
	foreign foreign
	trash   trashIndex
	// building are the names of volumes that are being built.
	building map[string]bool
	// unfinished are the copies that a restart has cut short, by what they are locked by.
	unfinished map[string]unfinished
}

func (s *Store) newDiskState(path string, id disk.Identity, storage string, pool config.Pool) *diskState {
	d := &diskState{
		path: path, id: id, storage: storage, pool: pool,
		calls: newCalls(), wake: make(chan struct{}, 1), copies: make(chan struct{}, maxCopies), stop: func() {},
		volumes: volumeSet{node: s.node}, trash: newTrashIndex(), building: map[string]bool{}, unfinished: map[string]unfinished{},
		publishes: map[string]int{},
	}
	d.peers = func() []*diskState {
		return slices.DeleteFunc(s.inUse(), func(other *diskState) bool { return other == d || other.storage != d.storage })
	}
	return d
}

// openDisk is a disk and its open directory, for one call. Whatever is written to
// a disk is written beneath this directory.
type openDisk struct {
	*diskState
	root *dir.Dir
}

// open opens the disk if it is the one that it was.
func (d *diskState) open() (openDisk, error) {
	if err := d.retiredErr(); err != nil {
		return openDisk{}, d.unavailable(err)
	}
	root, err := disk.Open(d.path)
	if err != nil {
		return openDisk{}, d.unavailable(err)
	}
	if err := d.id.Check(root, &d.marker); err != nil {
		root.Close()
		return openDisk{}, d.unavailable(err)
	}
	return openDisk{d, root}, nil
}

func (o openDisk) close() { o.root.Close() }

func (d *diskState) unavailable(err error) error { return unavailable(d.path, err) }

func unavailable(path string, err error) error {
	return fmt.Errorf("%w: disk %s: %w", errdefs.ErrUnavailable, path, err)
}

func (d *diskState) retiredErr() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.retired
}

// retire takes the disk out of use. Calls at work go on with what they have open.
func (d *diskState) retire(why error) {
	d.mu.Lock()
	d.retired = why
	d.mu.Unlock()
	d.stop()
}

func (d *diskState) setPool(pool config.Pool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pool = pool
}

func (d *diskState) poolNow() config.Pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pool
}

// volumeID returns the ID of the volume in this directory of the disk.
func (d *diskState) volumeID(name string) VolumeID { return VolumeID{Disk: d.id.UUID, Name: name} }

// volume returns what is known of a volume, nil if there is none.
func (d *diskState) volume(name string) *Volume {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.volumes.byName[name]
}

// setVolume records a volume, or with nil that it is gone.
func (d *diskState) setVolume(name string, v *Volume) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.volumes.set(name, v)
	if v == nil {
		delete(d.publishes, name)
	}
}

// notePublish is called before a volume is given to a pod.
func (d *diskState) notePublish(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.publishes[name]++
}

func (d *diskState) publishesOf(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.publishes[name]
}

// list returns the volumes of a disk in use.
func (d *diskState) list() []*Volume {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Volume, 0, len(d.volumes.byName))
	for _, v := range d.volumes.byName {
		all = append(all, v)
	}
	return all
}

// dataPath is where people find the data of a volume.
func (d *diskState) dataPath(name string) string {
	return strings.Join([]string{d.path, disk.VolumesDir, name, dataDir}, "/")
}
