package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
)

// What a disk can still give to volumes is
//
//	(size - what others hold - reserve) x overcommit - what is allocated
//
// where others are files that are not hostdir's, and the trash. Room that a volume
// does not use is allocated all the same, so that a claim finds what it was given. A
// snapshot is allocated what it holds, also while it shares that with its volume: once
// the volume is written anew, both are there.
//
// All of it comes from memory: GetCapacity and CreateVolume go by the same
// figures, and neither waits for a disk.

// foreign is what a filesystem held besides volumes when all of them had been
// counted. It is remembered across restarts.
type foreign struct {
	bytes int64
	known bool
	// at is zero for a figure that was remembered.
	at time.Time
}

// addForeign notes that others hold so much more, or less, of the room of a disk:
// each disk that shares it has the figure.
func (d *diskState) addForeign(bytes int64) {
	for _, each := range append(d.peers(), d) {
		each.mu.Lock()
		each.foreign.bytes = max(0, each.foreign.bytes+bytes)
		each.mu.Unlock()
	}
}

// figures are those of the disks that share a filesystem's room.
type figures struct {
	size, free         int64
	allocated, reserve int64
	foreign            foreign
	measured           time.Time
	datasets           map[uint64]int64 // of ZFS: what each holds, by device
	readOnly           bool
	inodes, freeInodes int64
}

// add takes a disk in. The newest look at the filesystem counts for all.
func (f *figures) add(d *diskState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.space
	f.allocated += d.allocated()
	f.reserve = max(f.reserve, d.pool.Reserve.Of(s.Size))
	if d.foreign.known && (!f.foreign.known || d.foreign.at.After(f.foreign.at)) {
		f.foreign = d.foreign
	}
	if strings.HasPrefix(d.storage, "zpool ") {
		// The size of a dataset is what it holds itself and what is free for all.
		if f.datasets == nil {
			f.datasets = map[uint64]int64{}
		}
		f.datasets[d.id.Inode.Device] = s.Size - s.Free
	}
	if s.at.After(f.measured) {
		f.measured = s.at
		f.size, f.free, f.readOnly, f.inodes, f.freeInodes = s.Size, s.Free, s.ReadOnly, s.Inodes, s.FreeInodes
	}
}

// allocated is what the disk has given away. The caller holds d.mu.
func (d *diskState) allocated() int64 {
	return d.volumes.allocated + d.snapshots.bytes + d.pending
}

// sum ends a series of adds.
func (f *figures) sum() {
	if f.datasets == nil {
		return
	}
	f.size = f.free
	for _, held := range f.datasets {
		f.size += held
	}
}

// others returns what others hold: the figure of the last count, within what is
// certain now. Volumes hold no more than was allocated to them, so the rest of
// what is not free is surely others'. What volumes have written or removed since
// they were counted is in their allocation, and says nothing of others.
func (f figures) others() int64 {
	held := max(0, f.size-f.free)
	least := max(0, held-f.allocated)
	if !f.foreign.known {
		return least
	}
	return min(max(f.foreign.bytes, least), held)
}

// available returns what can still be allocated, with this overcommit.
func (f figures) available(overcommit config.Overcommit) int64 {
	if f.free <= f.reserve { // a reserve is kept free whatever was allocated
		return 0
	}
	whole := min(maxCapacity, overcommit.Of(max(0, f.size-f.others()-f.reserve)))
	return max(0, whole-f.allocated)
}

// figures returns those of the disks that share a disk's room.
func (d *diskState) figures() figures {
	var f figures
	for _, each := range append(d.peers(), d) {
		f.add(each)
	}
	f.sum()
	return f
}

// available returns what a disk can still give, or why it gives nothing.
func (d *diskState) available() (int64, error) {
	if err := d.calls.unresponsive(); err != nil {
		return 0, err
	}
	if err := d.spaceErr(); err != nil {
		return 0, err
	}
	f := d.figures()
	switch {
	case f.measured.IsZero():
		return 0, errors.New("its filesystem has not been looked at yet")
	case f.readOnly:
		return 0, fmt.Errorf("%s is read-only", d.path)
	case f.inodes > 0 && f.freeInodes == 0:
		return 0, fmt.Errorf("%s has no free inodes", d.path)
	}
	return f.available(d.poolNow().Overcommit), nil
}
