package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// What a base directory can still promise is
//
//	(what its filesystem has for volumes - the reserve) x overcommit - what is promised already
//
// where the filesystem has for volumes what others do not hold: files that are
// not hostdir's, and the trash. Unused room of a volume is promised all the
// same, so that a claim finds what it was told.

// Capacity is what a pool of this node can still take.
type Capacity struct {
	// AvailableBytes is the room on all base directories together.
	AvailableBytes int64
	// MaximumVolumeBytes is the largest volume that fits on one of them.
	MaximumVolumeBytes int64
}

// Capacity never fails: a pool that is not here, or cannot be used, has none.
// Base directories on one filesystem are counted once.
func (s *Store) Capacity(class Class) Capacity {
	var c Capacity
	counted := map[uint64]bool{} // by device
	for _, b := range s.snapshot() {
		if b.status().Pool != class.Pool || b.refuses(class) != nil {
			continue
		}
		room, err := s.roomOn(b)
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
func (s *Store) candidates(class Class, capacity int64) ([]*base, error) {
	type candidate struct {
		base  *base
		bytes int64
	}
	var fit []candidate
	var reasons []string
	for _, b := range s.snapshot() {
		if b.status().Pool != class.Pool {
			continue
		}
		if err := b.refuses(class); err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		room, err := s.roomOn(b)
		if err == nil && room.bytes < capacity {
			err = room.tooSmall(b, capacity)
		}
		if err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		fit = append(fit, candidate{b, room.bytes})
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
		return nil, fmt.Errorf("%w: node %s has no pool %q in hostdir's configuration", errdefs.ErrNoSpace, s.node, class.Pool)
	}
	return nil, fmt.Errorf("%w: pool %q on node %s cannot take %s: %s", errdefs.ErrNoSpace, class.Pool, s.node, formatSize(capacity), strings.Join(reasons, "; "))
}

// refuses returns why a base directory takes no volumes of a class, whatever
// room it has.
func (b *base) refuses(class Class) error {
	if limits, why := b.limiter(); class.Quota == QuotaRequired && limits.Kind() == quota.None {
		return fmt.Errorf("quota is required, but %w", why)
	}
	return nil
}

// measurement is the room on one base directory.
type measurement struct {
	bytes  int64
	device uint64
}

func (m measurement) tooSmall(b *base, bytes int64) error {
	return fmt.Errorf("%s %w %s, asked are %s", b.path, errTooSmall, formatSize(m.bytes), formatSize(bytes))
}

// errTooSmall is in the error for more than a base directory can promise: "/mnt/a
// has room for 1Gi, asked are 2Gi".
var errTooSmall = errors.New("has room for")

// promise reserves room until done is called: by then the volume has been
// created, or expanded, and counts itself. Two promises never share the room.
// The error is errTooSmall, or why the base directory can take nothing.
func (s *Store) promise(b *base, bytes int64) (done func(), err error) {
	s.promising.Lock()
	defer s.promising.Unlock()
	room, err := s.roomOn(b)
	if err != nil {
		return nil, err
	}
	if room.bytes < bytes {
		return nil, room.tooSmall(b, bytes)
	}
	b.promise(bytes)
	return func() { b.promise(-bytes) }, nil
}

// roomOn finds out how much a base directory can still promise. Its error says
// why it can take nothing.
func (s *Store) roomOn(b *base) (measurement, error) {
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
	case room.inodes > 0 && room.freeInodes == 0:
		return measurement{}, fmt.Errorf("%s has no free inodes", b.path)
	}
	var account account
	for _, other := range s.snapshot() {
		account.add(other, room)
	}
	account.others = max(account.others, room.size-room.free-account.used)
	free := min(maxCapacity, b.overcommit().of(max(0, room.size-account.others-account.reserve))) - account.promised
	// A reserve is kept free whatever was promised.
	if room.free <= account.reserve {
		free = 0
	}
	return measurement{bytes: max(0, free), device: room.device}, nil
}

// account sums up the base directories on one filesystem.
type account struct {
	promised, used, others, reserve int64
}

func (a *account) add(b *base, on room) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inode.device != on.device {
		return
	}
	a.promised += b.promised
	a.used += b.used
	a.others = max(a.others, b.others)
	a.reserve = max(a.reserve, b.pool.Reserve.of(on.size))
}

func (b *base) overcommit() Overcommit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pool.Overcommit
}
