package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostdir/hostdir/pkg/quota"
)

// SnapshotStatus is a snapshot, or one that is being made, and what it costs.
type SnapshotStatus struct {
	Snapshot
	// AloneBytes is what it shares with nothing else, and its deletion gives back; nil
	// where nobody knows.
	AloneBytes *int64
}

// alonePatience is how long a disk is asked for what its snapshots hold alone.
const alonePatience = 2 * time.Second

// SnapshotStatus returns the snapshots on this node's disks in use, also those that are
// being made, by VolumeSnapshot. A disk that does not answer within two seconds does not
// tell what they hold alone.
func (s *Store) SnapshotStatus(ctx context.Context) []SnapshotStatus {
	ctx, cancel := context.WithTimeout(ctx, alonePatience)
	defer cancel()
	disks := s.inUse()
	found := make([][]SnapshotStatus, len(disks))
	var asked sync.WaitGroup
	for i, d := range disks {
		asked.Go(func() {
			made := d.listSnapshots()
			alone := d.alone(ctx, made)
			for _, each := range made {
				found[i] = append(found[i], SnapshotStatus{*each, alone[each.Dir]})
			}
			for _, each := range s.snapshotsUnderWay(d) {
				if !slices.ContainsFunc(made, func(m *Snapshot) bool { return m.Dir == each.Dir }) {
					found[i] = append(found[i], SnapshotStatus{Snapshot: each})
				}
			}
		})
	}
	asked.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b SnapshotStatus) int {
		return cmp.Or(
			strings.Compare(a.VolumeSnapshot.Namespace, b.VolumeSnapshot.Namespace),
			strings.Compare(a.VolumeSnapshot.Name, b.VolumeSnapshot.Name),
			strings.Compare(a.ID, b.ID))
	})
	return all
}

// alone returns what snapshots of the disk share with nothing else, by the name of their
// directory: copies all that they hold, subvolumes what btrfs's full quotas count.
func (d *diskState) alone(ctx context.Context, all []*Snapshot) map[string]*int64 {
	known := map[string]*int64{}
	var subvolumes []*Snapshot
	for _, each := range all {
		switch {
		case each.Quarantine != nil:
		case each.Method == SnapshotCopy:
			known[each.Dir] = &each.Bytes
		case each.Subvolume != 0:
			subvolumes = append(subvolumes, each)
		}
	}
	if limits, _ := d.limiter(); len(subvolumes) == 0 || quota.KindOf(limits) != quota.Btrfs {
		return known
	}
	exclusive, err := run(ctx, d, read, "a look at what snapshots hold alone", func() ([]int64, error) {
		o, err := d.open()
		if err != nil {
			return nil, err
		}
		defer o.close()
		var sizes []int64
		for _, each := range subvolumes {
			size, err := quota.Exclusive(o.root.File, each.Subvolume)
			if err != nil {
				size = -1 // of this one it is not known
			}
			sizes = append(sizes, size)
		}
		return sizes, nil
	})
	if err != nil {
		return known // its look says why
	}
	for i, each := range subvolumes {
		if exclusive[i] >= 0 {
			known[each.Dir] = &exclusive[i]
		}
	}
	return known
}

// snapshotsUnderWay returns the snapshots that are being made on a disk, as far as it is
// known what their records will say.
func (s *Store) snapshotsUnderWay(d *diskState) (all []Snapshot) {
	for name, j := range s.jobs.atWork() {
		plan := j.snapshot.Load()
		if plan == nil {
			continue
		}
		if id, err := ParseSnapshotID(plan.ID); err != nil || id.Disk != d.id.UUID || snapshotLock(id.Name) != name {
			continue
		}
		if made := s.snapshotUnderWay(d, strings.TrimPrefix(name, snapshotLock(""))); made != nil {
			all = append(all, *made)
		}
	}
	return all
}

// SnapshotCounts returns how many snapshots of each volume there are, by the volume's ID. It
// waits for no disk.
func (s *Store) SnapshotCounts() map[string]int {
	counts := map[string]int{}
	for _, d := range s.inUse() {
		for _, each := range d.listSnapshots() {
			counts[each.SourceVolume]++
		}
	}
	return counts
}

// CopyStatus is a volume that is being made as a copy of a snapshot or of another volume.
type CopyStatus struct {
	// Volume is the name of its directory, Source the ID of what is copied.
	Volume, Source string
	// Progress is nil until it is known.
	Progress *Progress
}

// Copies returns the volumes that are being made as a copy, by name. It waits for no disk.
func (s *Store) Copies() []CopyStatus {
	var all []CopyStatus
	for name, j := range s.jobs.atWork() {
		if source, ok := strings.CutPrefix(j.order, copyOrder); ok {
			all = append(all, CopyStatus{Volume: name, Source: source, Progress: j.progress()})
		}
	}
	slices.SortFunc(all, func(a, b CopyStatus) int { return strings.Compare(a.Volume, b.Volume) })
	return all
}
