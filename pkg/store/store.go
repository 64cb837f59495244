package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
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

	mu        sync.RWMutex // guards all below
	pools     []Pool       // of the last good configuration
	bases     []*base      // of all pools, in the configuration's order
	configErr string       // why the configuration in the file is not in force
}

// Open reads the configuration, scans the pools of this node and returns the
// store. A pool that is not healthy is no error: the store says so when it is
// used, and finds out by itself when it is mended.
func Open(ctx context.Context, nodeName, configFile string) (*Store, error) {
	config, err := ReadConfig(configFile)
	if err != nil {
		return nil, err
	}
	s := &Store{
		node:       nodeName,
		configFile: configFile,
		trashed:    make(chan struct{}, 1),
		projects:   newProjectIDs(config.ProjectIDs),
		pools:      config.PoolsFor(nodeName),
	}
	if len(s.pools) == 0 {
		return nil, fmt.Errorf("configuration: %w: it has no pool for node %s", errdefs.ErrInvalid, nodeName)
	}
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

// refresh looks at every base directory again and logs what changed.
func (s *Store) refresh(ctx context.Context) {
	log := klog.FromContext(ctx)
	s.mu.RLock()
	pools, before := s.pools, s.bases
	s.mu.RUnlock()

	var bases []*base
	owner := map[string]*base{} // by UUID
	seen := map[string]bool{}   // by path
	for _, pool := range pools {
		for _, path := range pool.paths() {
			if seen[path] { // named by two globs
				continue
			}
			seen[path] = true
			b := &base{path: path, broken: errors.New("not looked at yet"), limits: quota.Unlimited}
			if i := slices.IndexFunc(before, func(b *base) bool { return b.path == path }); i >= 0 {
				b = before[i]
			}
			was := b.status()
			b.refresh(ctx, pool, owner)
			now := b.status()
			switch {
			case now.Err != nil && (was.Err == nil || was.Err.Error() != now.Err.Error()):
				log.Error(now.Err, "base directory cannot be used", "path", path, "pool", pool.Name)
			case now.Err == nil && was.Err != nil:
				log.Info("base directory ready", "path", path, "pool", pool.Name, "uuid", now.UUID, "volumes", now.Volumes, "quota", now.Quota)
				if _, why := b.limiter(); why != nil {
					log.Info("capacity is advisory in this base directory", "path", path, "reason", why.Error())
				}
				s.seenProjects(b)
			}
			bases = append(bases, b)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bases = bases
}

func (s *Store) snapshot() []*base {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bases
}
