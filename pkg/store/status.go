package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// Status is the state of one disk, as it was last looked at.
type Status struct {
	Pool string
	Path string
	// UUID is the marker's, empty if the disk is not in use.
	UUID string
	// Volumes are those that it has, or had when it was last in use.
	Volumes int
	// Snapshots are those that it has while it is in use, and SnapshotBytes what they
	// hold. UnreadySnapshots are being made; the record of QuarantinedSnapshots cannot be
	// read.
	Snapshots, UnreadySnapshots, QuarantinedSnapshots int
	SnapshotBytes                                     int64
	// AllocatedBytes is what volumes and snapshots take.
	AllocatedBytes int64
	// OtherNodes are those that volumes of a disk in use were made on, but for this
	// one.
	OtherNodes []NodeVolumes
	// Quota is how volumes made here are limited; WhyAdvisory is why not, if its
	// kind is None.
	Quota       quota.Kind
	WhyAdvisory error
	// Evicted counts the deleted volumes that were purged before their time
	// because the disk ran full, since it came into use.
	Evicted int
	// Cordoned is why the disk takes no new volumes although it could, nil if
	// nobody wants that.
	Cordoned error
	// Err is why the disk cannot be used, nil while it can, and Reason of which
	// kind it is.
	Err    error
	Reason disk.Reason

	// Space is what was found on its filesystem, zero if it was never seen.
	Space Space
}

// Space is what a disk has and can give.
type Space struct {
	// MeasuredAt is when its filesystem was looked at.
	MeasuredAt time.Time
	// SizeBytes and FreeBytes are the filesystem's.
	SizeBytes, FreeBytes int64
	// AvailableBytes is what can still be allocated. Disks on one filesystem
	// share it.
	AvailableBytes int64
	// Refuses is why nothing can be allocated, however much is free: nil, or
	// that the filesystem is read-only or has no free inodes.
	Refuses error
	// Trash is how many deleted volumes were not purged yet, Stuck how many of
	// them could not be when that was tried.
	Trash, Stuck int
}

// Status returns the state of every disk on this node. It waits for none.
func (s *Store) Status() []Status {
	var all []Status
	for _, p := range s.places() {
		status := Status{Pool: p.pool.Name, Path: p.path, Err: p.err}
		switch {
		case p.disk != nil:
			status = p.disk.status()
			status.UnreadySnapshots = len(s.snapshotsUnderWay(p.disk))
		case p.was != nil: // people want to know how many volumes wait for it
			status.Volumes, status.AllocatedBytes = p.was.holds()
		}
		status.Reason = disk.ReasonOf(status.Err)
		if p.disk == nil { // what its marker says is not known
			status.Cordoned = cordonedBy(p.pool, p.path, time.Time{})
		}
		all = append(all, status)
	}
	return all
}

// holds returns how many volumes the disk has, and what is allocated to them.
func (d *diskState) holds() (volumes int, allocated int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.volumes.byName), d.allocated()
}

func (d *diskState) status() Status {
	limits, why := d.limiter()
	available, refuses := d.available()
	cordoned := d.cordoned()
	hung := d.calls.unresponsive()
	if hung != nil {
		refuses = nil // Err says more
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{
		Pool: d.pool.Name, Path: d.path, UUID: d.id.UUID,
		Volumes: len(d.volumes.byName), AllocatedBytes: d.allocated(),
		Snapshots: len(d.snapshots.byName), SnapshotBytes: d.snapshots.bytes,
		OtherNodes: d.volumes.otherNodes(),
		Quota:      quota.KindOf(limits), WhyAdvisory: why,
		Evicted:  d.trash.evicted,
		Cordoned: cordoned,
		Err:      hung,
		Space: Space{
			MeasuredAt: d.space.at, SizeBytes: d.space.Size, FreeBytes: d.space.Free,
			AvailableBytes: available, Refuses: refuses, Trash: len(d.trash.byID),
		},
	}
	if hung == nil && d.space.err != nil {
		s.Space.Refuses = fmt.Errorf("its filesystem could not be looked at: %w", d.space.err)
	}
	for _, each := range d.snapshots.byName {
		if each.Quarantine != nil {
			s.QuarantinedSnapshots++
		}
	}
	for _, t := range d.trash.byID {
		if t.why() != nil {
			s.Space.Stuck++
		}
	}
	return s
}

// Volumes lists the volumes on this node's disks in use, by ID.
func (s *Store) Volumes() []Volume {
	var all []Volume
	for _, d := range s.inUse() {
		for _, v := range d.list() {
			all = append(all, *v)
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// VolumeStatus is a volume and its disk.
type VolumeStatus struct {
	*Volume
	// Pool is the one that the volume's disk is in today, Disk the disk's path.
	Pool string
	Disk string
	// Enforced reports whether the filesystem holds the volume to its capacity.
	Enforced bool
	// TrashTTL is how long it stays in the trash once it is deleted.
	TrashTTL time.Duration
}

// VolumeStatus returns the volumes on this node's disks in use, by claim.
func (s *Store) VolumeStatus() []VolumeStatus {
	var all []VolumeStatus
	for _, d := range s.inUse() {
		pool := d.poolNow()
		for _, v := range d.list() {
			ttl, _ := retention(pool, v.Class)
			all = append(all, VolumeStatus{Volume: v, Pool: pool.Name, Disk: d.path, Enforced: d.enforces(v), TrashTTL: ttl})
		}
	}
	slices.SortFunc(all, func(a, b VolumeStatus) int {
		return cmp.Or(
			strings.Compare(a.Claim.Namespace, b.Claim.Namespace),
			strings.Compare(a.Claim.Name, b.Claim.Name),
			strings.Compare(a.ID, b.ID))
	})
	return all
}

// ConfigError returns why the configuration in the file is not in force, "" if it
// is.
func (s *Store) ConfigError() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.configErr
}
