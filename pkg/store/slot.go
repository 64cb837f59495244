package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
)

// slot is a path of the configuration, and what is there.
type slot struct {
	path string
	// looking is held while the path is looked at and its disk taken into use.
	looking sync.Mutex
	// poke lets the path's goroutine take its disk into use now.
	poke chan struct{}
	// leave ends that goroutine.
	leave context.CancelFunc

	// All below is guarded by Store.mu.

	pool  config.Pool
	added time.Time
	// asked is when the look began that has not returned, zero if none.
	asked time.Time
	// probe is the last one, of use if answered is set.
	probe    disk.Probe
	answered bool
	// watch is how long the sign of the disk's owner has been the same.
	watch disk.Watch
	// approved says that the disk which was found may be used.
	approved bool
	// names are the volumes of a disk that is being taken into use, nil as long as
	// they are not known.
	names map[string]bool
	// last is the UUID of the disk that was used at the path last.
	last string
	// failed is why the disk could not be taken into use when that was tried.
	failed error
	// err is why no disk is used, and disk the one that is.
	err  error
	disk *diskState
	// next is the UUID of the disk that is made of an empty directory. It stays
	// the same until that succeeds.
	next string
}

func (s *Store) newSlot(path string, pool config.Pool) *slot {
	return &slot{
		path: path, pool: pool, added: time.Now(), poke: make(chan struct{}, 1), leave: func() {},
		err:  disk.Refuse(disk.Pending, "not looked at yet"),
		next: uuid.NewString(),
	}
}

// isComingUp reports whether the disk at a new path may be about to come into use.
// One that takes its time is not waited for.
func (x *slot) isComingUp() bool {
	age := time.Since(x.added)
	return !x.answered && age < decideGrace ||
		x.approved && x.disk == nil && x.failed == nil && age < decideGrace+lookPatience
}

// Settled reports whether the disks that answer are in use. Until then capacity is
// less than it will be in a moment.
func (s *Store) Settled() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !slices.ContainsFunc(s.slots, (*slot).isComingUp)
}

// isPoolComingUp is isComingUp of any disk of a pool.
func (s *Store) isPoolComingUp(pool string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.slots, func(x *slot) bool { return x.pool.Name == pool && x.isComingUp() })
}

// findPaths brings the slots up to date with the configuration. Where that has
// globs it waits for the disks that they lead over.
func (s *Store) findPaths(ctx context.Context) {
	s.mu.RLock()
	pools := s.pools
	s.mu.RUnlock()
	found := make([][]string, len(pools))
	for i, pool := range pools {
		paths, err := pool.ExpandPaths()
		s.tellOfPaths(ctx, pool.Name, "not all disks of the pool are known", err)
		found[i] = paths
	}
	s.arrange(pools, found)
	for i, pool := range pools {
		s.tellOfPaths(ctx, pool.Name, "`cordoned` of the pool names what is no disk of it here", noneOf(pool.IdleCordons(found[i])))
		s.tellOfPaths(ctx, pool.Name, "a disk is in the first pool that names it, and in no other", elsewhere(pools, found, i))
	}
}

// elsewhere returns an error if paths of a pool are in one before it.
func elsewhere(pools []config.Pool, found [][]string, i int) error {
	var errs []error
	for _, path := range found[i] {
		first := slices.IndexFunc(pools[:i], func(p config.Pool) bool { return p.Matches(path) })
		if first >= 0 {
			errs = append(errs, fmt.Errorf("%s is in pool %q already: narrow the paths of one of the two", path, pools[first].Name))
		}
	}
	return errors.Join(errs...)
}

func noneOf(patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	return fmt.Errorf("no disk is at %s", strings.Join(patterns, ", "))
}

// tellOfPaths logs what is wrong with the paths of a pool, once.
func (s *Store) tellOfPaths(ctx context.Context, pool, what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pool + ": " + what
	if err == nil {
		delete(s.toldOfPaths, key)
	} else if s.toldOfPaths[key] != err.Error() {
		s.toldOfPaths[key] = err.Error()
		klog.FromContext(ctx).Error(err, what, "pool", pool)
	}
}

// arrange makes a slot for each path that was found, and for each that is known and
// in the configuration: one that a glob found once stays, also when its directory
// is gone. Then its disk is absent.
func (s *Store) arrange(pools []config.Pool, found [][]string) {
	s.deciding.Lock()
	known := s.history.Paths()
	s.deciding.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.slots {
		known = append(known, x.path)
	}
	for _, paths := range found { // by another pool, while the first that matches has not looked yet
		known = append(known, paths...)
	}
	slices.Sort(known)
	var slots []*slot
	named := map[string]bool{} // a path may match two globs
	for i, pool := range pools {
		for _, path := range append(found[i], known...) {
			if named[path] || !pool.Matches(path) {
				continue
			}
			named[path] = true
			slots = append(slots, s.slotFor(path, pool))
		}
	}
	for _, x := range s.slots {
		if !slices.Contains(slots, x) {
			x.leave()
			x.drop(errors.New("its path is not in the configuration any more"))
		}
	}
	s.slots = slots
}

// slotFor returns the slot of a path, which is in this pool. The caller holds s.mu.
func (s *Store) slotFor(path string, pool config.Pool) *slot {
	x := s.slotAt(path)
	if x == nil {
		x = s.newSlot(path, pool)
		if s.running != nil {
			s.watch(s.running, x)
		}
	}
	x.pool = pool
	if x.disk != nil {
		x.disk.setPool(pool)
	}
	return x
}

// watch starts the goroutine of a path. The caller holds s.mu.
func (s *Store) watch(ctx context.Context, x *slot) {
	ctx, x.leave = context.WithCancel(ctx)
	s.background(func() {
		for tick := time.Tick(lookInterval); ctx.Err() == nil; {
			s.lookAt(ctx, x)
			for again := true; again; {
				select {
				case <-ctx.Done():
					again = false
				case <-tick:
					again = false
				case <-x.poke:
					s.takeUp(ctx, x)
				}
			}
		}
	})
}

// place is a path and its disk, or why there is none and which one was.
type place struct {
	path string
	pool config.Pool
	disk *diskState
	err  error
	// was is the disk that is not in use any more, nil if none was since the start.
	was *diskState
}

// places returns what is at each path, in the configuration's order.
func (s *Store) places() []place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]place, len(s.slots))
	for i, x := range s.slots {
		all[i] = place{path: x.path, pool: x.pool, disk: x.disk, err: x.err}
		if d := s.disks[x.last]; x.disk == nil && d != nil && d.retiredErr() != nil {
			all[i].was = d
		}
	}
	return all
}
