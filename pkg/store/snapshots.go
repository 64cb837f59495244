package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Snapshot is a snapshot as the store knows it.
type Snapshot struct {
	SnapshotRecord
	// Dir is the name of the snapshot's directory, the last part of its ID, Disk the path
	// of its disk and Pool the one that this is in today.
	Dir, Disk, Pool string
	// Path is the snapshot's data directory on the node, for people.
	Path string
	// Quarantine is why the snapshot is refused, nil for a sound one. Of one in quarantine
	// only the ID is known.
	Quarantine error
	// Ready is false while it is being made. Progress is how that comes along, nil if it
	// is not known.
	Ready    bool
	Progress *Progress
}

// snapshotSet is the snapshots of a disk, by the name of their directory, and what they
// hold together. Snapshots are never changed.
type snapshotSet struct {
	byName map[string]*Snapshot
	bytes  int64
}

// set records a snapshot, or with nil that it is gone.
func (s *snapshotSet) set(name string, snapshot *Snapshot) {
	if old := s.byName[name]; old != nil {
		s.bytes -= old.Bytes
		delete(s.byName, name)
	}
	if snapshot != nil {
		if s.byName == nil {
			s.byName = map[string]*Snapshot{}
		}
		s.bytes += snapshot.Bytes
		s.byName[name] = snapshot
	}
}

// snapshot returns what is known of a snapshot, nil if there is none.
func (d *diskState) snapshot(name string) *Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snapshots.byName[name]
}

func (d *diskState) setSnapshot(name string, s *Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.snapshots.set(name, s)
}

// listSnapshots returns the snapshots of a disk in use.
func (d *diskState) listSnapshots() []*Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Snapshot, 0, len(d.snapshots.byName))
	for _, s := range d.snapshots.byName {
		all = append(all, s)
	}
	return all
}

func (d *diskState) snapshotID(name string) SnapshotID {
	return SnapshotID{Disk: d.id.UUID, Name: name}
}

// describe is a snapshot that is there.
func (d *diskState) snapshotAs(name string, r SnapshotRecord) *Snapshot {
	return &Snapshot{
		SnapshotRecord: r, Dir: name, Disk: d.path, Pool: d.poolNow().Name, Ready: true,
		Path: strings.Join([]string{d.path, disk.SnapshotsDir, name, dataDir}, "/"),
	}
}

// Snapshots lists the snapshots on this node's disks in use, by ID. It waits for no disk.
func (s *Store) Snapshots() []Snapshot {
	var all []Snapshot
	for _, d := range s.inUse() {
		for _, each := range d.listSnapshots() {
			all = append(all, *each)
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Snapshot returns what the disk says of a snapshot; one that is being made is not
// ready yet.
func (s *Store) Snapshot(ctx context.Context, snapshotID string) (Snapshot, error) {
	id, err := ParseSnapshotID(snapshotID)
	if err != nil {
		return Snapshot{}, err
	}
	d, err := s.diskOf(VolumeID(id))
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %s: %w", id, err)
	}
	found, err := run(ctx, d, read, "a look at snapshot "+snapshotID, func() (Snapshot, error) {
		x, err := d.findSnapshot(id)
		if err != nil {
			return Snapshot{}, err
		}
		defer x.close()
		return *d.snapshotAs(id.Name, x.record), nil
	})
	if errors.Is(err, errdefs.ErrNotFound) {
		if plan := s.snapshotUnderWay(d, id.Name); plan != nil {
			return *plan, nil
		}
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return found, nil
}

// openSnapshot is a snapshot that was found on its disk, with the descriptors that lead
// to it.
type openSnapshot struct {
	openDisk
	id     SnapshotID
	record SnapshotRecord
	dir    *dir.Dir // the snapshot's directory
}

func (x *openSnapshot) close() {
	x.dir.Close()
	x.openDisk.close()
}

// findSnapshot finds a snapshot. It returns ErrNotFound only if the disk is healthy and
// the snapshot's directory is not there.
func (d *diskState) findSnapshot(id SnapshotID) (*openSnapshot, error) {
	o, err := d.open()
	if err != nil {
		return nil, err
	}
	x := &openSnapshot{openDisk: o, id: id}
	x.dir, err = o.root.Sub(disk.SnapshotsDir + "/" + id.Name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the disk %s is healthy, but has no %s/%s", errdefs.ErrNotFound, d.path, disk.SnapshotsDir, id.Name)
	}
	if err != nil {
		o.close()
		return nil, unreadable(err)
	}
	if x.record, err = readSnapshot(x.dir, id); err != nil {
		x.close()
		if err = unreadable(err); !errors.Is(err, errdefs.ErrUnavailable) {
			err = fmt.Errorf("it is in quarantine, neither restored nor deleted: %w", err)
		}
		return nil, err
	}
	return x, nil
}

// scanSnapshots reads the records of the snapshots of a disk that is being taken into
// use, and moves what was not finished into the trash, unless it can be gone on with.
func (s *Store) scanSnapshots(ctx context.Context, o openDisk) error {
	all, err := o.root.Sub(disk.SnapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	names, err := all.Names()
	if err != nil {
		return err
	}
	log := klog.FromContext(ctx)
	for _, name := range names {
		if strings.HasPrefix(name, newPrefix) {
			if err := o.unfinishedFound(all, disk.SnapshotsDir, name, snapshotLock(strings.TrimPrefix(name, newPrefix))); err != nil {
				log.Error(err, "half-made snapshot not cleared away", "path", all.Path(name))
			}
			continue
		}
		id := o.snapshotID(name)
		if !id.isValid() {
			continue // a foreign file: not ours to touch
		}
		r, err := scanSnapshot(all, id)
		if dir.IsPassing(err) {
			return err // it says nothing of the snapshot: all is read again soon
		}
		found := o.snapshotAs(name, r)
		if err != nil {
			found.SnapshotRecord, found.Quarantine = SnapshotRecord{ID: id.String()}, err
			log.Error(err, "snapshot in quarantine: it is neither restored nor deleted", "snapshotID", id.String(), "path", all.Path(name))
		}
		o.setSnapshot(name, found)
	}
	return nil
}

func scanSnapshot(snapshots *dir.Dir, id SnapshotID) (SnapshotRecord, error) {
	snapshot, err := snapshots.Sub(id.Name)
	if err != nil {
		return SnapshotRecord{}, err
	}
	defer snapshot.Close()
	return readSnapshot(snapshot, id)
}
