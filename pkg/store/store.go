package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Store is the pools of one node and their volumes. Its methods may be called
// from any number of goroutines; two calls for one volume never overlap.
type Store struct {
	node       string
	configFile string
	locks      locks
	trashed    chan struct{} // wakes the purge
	projects   *projectIDs
	promising  sync.Mutex // held while room is looked up and promised
	refreshing sync.Mutex // held while bases are looked at and taken; guards seen
	seen       *seen
	checking   sync.Mutex // held during a check

	mu        sync.RWMutex // guards all below
	pools     []Pool       // of the last good configuration
	bases     []*base      // of all pools, in the configuration's order
	configErr string       // why the configuration in the file is not in force
}

// Open reads the configuration, scans the pools of this node and returns the
// store. A pool that is not healthy is no error: the store says so when it is
// used, and finds out by itself when it is mended. In seenFile the store keeps
// which disks this node had, so that it notices when one is absent or another
// one; with "" it does so only while it runs.
func Open(ctx context.Context, nodeName, configFile, seenFile string) (*Store, error) {
	config, err := ReadConfig(configFile)
	if err != nil {
		return nil, err
	}
	s := &Store{
		node:       nodeName,
		configFile: configFile,
		trashed:    make(chan struct{}, 1),
		projects:   newProjectIDs(config.ProjectIDs),
		seen:       newSeen(seenFile),
		pools:      config.PoolsFor(nodeName),
	}
	if len(s.pools) == 0 {
		return nil, fmt.Errorf("configuration: %w: it has no pool for node %s", errdefs.ErrInvalid, nodeName)
	}
	s.seen.load(ctx)
	s.refresh(ctx)
	return s, nil
}

const (
	refreshInterval = 10 * time.Second
	countInterval   = 30 * time.Second
	purgeInterval   = time.Minute // after which what could not be purged is tried again
)

// Run keeps the store's picture of configuration and disks fresh and purges the
// trash, until the context ends.
func (s *Store) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.Tick(refreshInterval); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				s.reload(ctx)
				s.refresh(ctx)
			}
		}
	})
	wg.Go(func() {
		for tick := time.Tick(countInterval); ; {
			s.count(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
	})
	wg.Go(func() { s.walk(ctx) })
	wg.Go(func() {
		for tick := time.Tick(purgeInterval); ; {
			s.purge(ctx)
			select {
			case <-ctx.Done():
				return
			case <-s.trashed:
			case <-tick:
			}
		}
	})
	wg.Wait()
}

// reload takes up a changed configuration. A bad one changes nothing and is
// reported once.
func (s *Store) reload(ctx context.Context) {
	config, err := ReadConfig(s.configFile)
	pools := config.PoolsFor(s.node)
	if err == nil && len(pools) == 0 {
		err = fmt.Errorf("it has no pool for node %s", s.node)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.pools, s.configErr = pools, ""
		return
	}
	if s.configErr != err.Error() {
		s.configErr = err.Error()
		klog.FromContext(ctx).Error(err, "configuration refused, the last good one stays in force", "file", s.configFile)
	}
}

func (s *Store) snapshot() []*base {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bases
}
