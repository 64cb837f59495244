package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// Capacity is what a pool of this node can still take.
type Capacity struct {
	// AvailableBytes is the room on all disks together.
	AvailableBytes int64
	// MaximumVolumeBytes is the largest volume that fits on one of them.
	MaximumVolumeBytes int64
}

// Capacity never fails, and never waits: a pool that is not here, or cannot be
// used, has none. Disks on one filesystem are counted once.
func (s *Store) Capacity(class config.Class) Capacity {
	var c Capacity
	most := map[string]int64{} // by storage
	for _, d := range s.inUse() {
		if !d.takesNew(class.Pool) || d.refuses(class) != nil {
			continue
		}
		if bytes, err := d.available(); err == nil {
			most[d.storage] = max(most[d.storage], bytes)
		}
	}
	for _, bytes := range most {
		c.AvailableBytes += bytes
		c.MaximumVolumeBytes = max(c.MaximumVolumeBytes, bytes)
	}
	return c
}

// candidates returns the disks of a pool that have room for a new volume, the
// roomiest of those that answer first, or ErrNoSpace with the reason for each. It
// returns ErrUnavailable if in a moment there may be more: no pod should have to go
// to another node because hostdir has just started. It returns ErrInvalid if a type
// of filesystem is wanted that no disk of the pool is on.
func (s *Store) candidates(class config.Class, filesystem string, capacity int64) ([]*diskState, error) {
	type candidate struct {
		disk  *diskState
		bytes int64
	}
	none := errdefs.ErrNoSpace
	if s.isPoolComingUp(class.Pool) {
		none = errdefs.ErrUnavailable
	}
	var fit []candidate
	var reasons, others []string
	for _, p := range s.places() {
		if p.pool.Name != class.Pool {
			continue
		}
		err := p.err
		var bytes int64
		if p.disk != nil {
			if CheckFilesystem(filesystem, p.disk.filesystem) != nil {
				err = fmt.Errorf("it is on %s, and the filesystem type %q is asked for", p.disk.filesystem, filesystem)
				others = append(others, p.disk.filesystem)
			} else if err = p.disk.refuses(class); err == nil {
				bytes, err = p.disk.available()
			}
			if err == nil && bytes < capacity {
				err = tooSmall(p.path, bytes, capacity)
			}
			if cordoned := p.disk.cordoned(); err == nil && cordoned != nil {
				err = fmt.Errorf("%s has room, but %w", p.path, cordoned)
			}
		}
		if err != nil {
			reasons = append(reasons, reasonAt(p.path, err))
			continue
		}
		fit = append(fit, candidate{p.disk, bytes})
	}
	if len(fit) > 0 {
		slices.SortStableFunc(fit, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(doubt(a.disk), doubt(b.disk)), cmp.Compare(b.bytes, a.bytes))
		})
		disks := make([]*diskState, len(fit))
		for i, c := range fit {
			disks[i] = c.disk
		}
		return disks, nil
	}
	if len(reasons) == 0 {
		return nil, fmt.Errorf("%w: node %s has no pool %q in hostdir's configuration", errdefs.ErrNoSpace, s.node, class.Pool)
	}
	if len(others) == len(reasons) {
		return nil, fmt.Errorf("pool %q on node %s: %w", class.Pool, s.node, CheckFilesystem(filesystem, others...))
	}
	return nil, fmt.Errorf("%w: pool %q on node %s cannot take %s: %s", none, class.Pool, s.node, config.FormatSize(capacity), strings.Join(reasons, "; "))
}

// doubt is 1 for a disk that has not answered for a moment.
func doubt(d *diskState) int {
	if d.calls.inDoubt() != nil {
		return 1
	}
	return 0
}

// reasonAt names the path of an error that does not.
func reasonAt(path string, err error) string {
	if strings.Contains(err.Error(), path) {
		return err.Error()
	}
	return path + ": " + err.Error()
}

// refuses returns why a disk takes no volumes of a class, whatever room it has.
func (d *diskState) refuses(class config.Class) error {
	if class.Quota != config.QuotaRequired {
		return nil
	}
	limits, why := d.limiter()
	switch n, _ := class.InodeLimit(); {
	case quota.KindOf(limits) == quota.None:
		return fmt.Errorf("quota is required, but %w", why)
	case n > 0 && limits.Kind() == quota.Btrfs:
		return fmt.Errorf("quota is required, and of inodes=%d, but btrfs cannot limit the number of files: leave out inodes, or use XFS or ext4", n)
	}
	return nil
}

// errTooSmall is in the error for more than a disk can give: "/mnt/a has room for
// 1Gi, 2Gi is required".
var errTooSmall = errors.New("has room for")

func tooSmall(path string, bytes, required int64) error {
	return fmt.Errorf("%s %w %s, %s is required", path, errTooSmall, config.FormatSize(bytes), config.FormatSize(required))
}

// allocate takes room until done is called: by then the volume has been made, or
// has grown, and counts itself. Two callers never get the same room. The error is
// errTooSmall, or why the disk can give nothing.
func (s *Store) allocate(d *diskState, bytes int64) (done func(), err error) {
	s.allocating.Lock()
	defer s.allocating.Unlock()
	room, err := d.available()
	if err != nil {
		return nil, err
	}
	if room < bytes {
		return nil, tooSmall(d.path, room, bytes)
	}
	d.addPending(bytes)
	return func() { d.addPending(-bytes) }, nil
}

// allocation is room that can become more while it is filled.
type allocation struct {
	store *Store
	disk  *diskState
	taken int64
	done  []func()
}

// hold is allocate for what may turn out to need more. there is what is on the disk already.
func (s *Store) hold(d *diskState, bytes, there int64) (*allocation, error) {
	done, err := s.allocate(d, max(bytes-there, 0))
	if err != nil {
		return nil, err
	}
	return &allocation{s, d, bytes, []func(){done}}, nil
}

// grow takes room until it is that much. The errors are those of allocate.
func (a *allocation) grow(bytes int64) error {
	if bytes <= a.taken {
		return nil
	}
	ahead := bytes + 64<<20 // to ask seldom
	done, err := a.store.allocate(a.disk, ahead-a.taken)
	if err != nil {
		ahead = bytes
		done, err = a.store.allocate(a.disk, ahead-a.taken)
	}
	if err != nil {
		return err
	}
	a.taken, a.done = ahead, append(a.done, done)
	return nil
}

// end gives all of it back.
func (a *allocation) end() {
	for _, done := range a.done {
		done()
	}
}

func (d *diskState) addPending(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending += bytes
}
