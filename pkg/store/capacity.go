package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Capacity is what a pool of this node can still take.
type Capacity struct {
	// AvailableBytes is the room on all base directories together.
	AvailableBytes int64
	// MaximumVolumeBytes is the largest volume that fits on one of them.
	MaximumVolumeBytes int64
}

// Capacity never fails: a pool that is not here, or cannot be used, has none.
// Base directories on one filesystem are counted once.
func (s *Store) Capacity(poolName string) Capacity {
	var c Capacity
	counted := map[uint64]bool{} // by device
	for _, b := range s.snapshot() {
		if b.status().Pool != poolName {
			continue
		}
		room, err := b.measure()
		if err != nil || counted[room.device] {
			continue
		}
		counted[room.device] = true
		c.AvailableBytes += room.bytes
		c.MaximumVolumeBytes = max(c.MaximumVolumeBytes, room.bytes)
	}
	return c
}

// candidates returns the base directories of a pool that have room for a new
// volume, the roomiest first, or ErrNoSpace with the reason for each.
func (s *Store) candidates(poolName string, capacity int64) ([]*base, error) {
	type candidate struct {
		base  *base
		bytes int64
	}
	var fit []candidate
	var reasons []string
	for _, b := range s.snapshot() {
		if b.status().Pool != poolName {
			continue
		}
		room, err := b.measure()
		switch {
		case err != nil:
			reasons = append(reasons, err.Error())
		case room.bytes < capacity:
			reasons = append(reasons, fmt.Sprintf("%s has room for %s", b.path, formatSize(room.bytes)))
		default:
			fit = append(fit, candidate{b, room.bytes})
		}
	}
	if len(fit) > 0 {
		slices.SortStableFunc(fit, func(a, b candidate) int { return cmp.Compare(b.bytes, a.bytes) })
		bases := make([]*base, len(fit))
		for i, c := range fit {
			bases[i] = c.base
		}
		return bases, nil
	}
	if len(reasons) == 0 {
		return nil, fmt.Errorf("%w: node %s has no pool %q in hostdir's configuration", errdefs.ErrNoSpace, s.node, poolName)
	}
	return nil, fmt.Errorf("%w: pool %q on node %s cannot take %s: %s", errdefs.ErrNoSpace, poolName, s.node, formatSize(capacity), strings.Join(reasons, "; "))
}

// measurement is the room on one base directory.
type measurement struct {
	bytes  int64
	device uint64
}

// measure finds out how much a base directory can still take. Its error says
// why it can take nothing.
func (b *base) measure() (measurement, error) {
	d, err := b.open()
	if err != nil {
		return measurement{}, err
	}
	defer d.close()
	room, err := d.room()
	if err != nil {
		return measurement{}, err
	}
	switch {
	case room.readOnly:
		return measurement{}, fmt.Errorf("%s is read-only", b.path)
	case room.noInodes:
		return measurement{}, fmt.Errorf("%s has no free inodes", b.path)
	}
	b.mu.Lock()
	reserve := b.pool.Reserve
	b.mu.Unlock()
	return measurement{bytes: max(0, room.free-reserve.of(room.size)), device: room.device}, nil
}
