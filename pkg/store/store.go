package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Store is the disks of one node and their volumes. Its methods may be called
// from any number of goroutines; two calls for one volume never overlap.
//
// Each disk is for itself: it comes into use, is counted and purged in goroutines
// of its own, and no lock is held across a system call on it that a call for
// another disk needs.
type Store struct {
	node       string
	configFile string
	// poolsCameFrom is what the log has said of the entries of nodes.
	poolsCameFrom string
	locks         locks
	projects      *projectIDs
	clock         clock
	// ownerPatience is how long another hostdir's sign must not have changed before
	// its disk is taken over.
	ownerPatience time.Duration
	allocating    sync.Mutex // held while room is looked up and allocated, in memory
	checking      sync.Mutex // held during a check
	acting        sync.Mutex // held while an operator's action is carried out
	jobs          longJobs

	deciding sync.Mutex // held while it is decided which disks are used; guards all below
	history  *disk.History
	// override is what an operator is just deciding.
	override disk.Override
	told     map[string]string // the last errors of the history's file, to log each once

	mu sync.RWMutex // guards all below
	// running is the context of Run, nil before, and work its goroutines.
	running context.Context
	work    sync.WaitGroup
	pools   []config.Pool // of the last good configuration
	// importFrom is where volumes to import may lie.
	importFrom config.ImportRoots
	slots      []*slot               // of all pools, in the configuration's order
	disks      map[string]*diskState // that were in use since the start, by UUID
	configErr  string                // why the configuration in the file is not in force
	// toldOfPaths is what is wrong with the pools' paths, to log each once.
	toldOfPaths map[string]string
}

// Open reads the configuration and returns the store. No disk is looked at before
// Run or Look: that a disk is absent, or does not answer, is no error, and the
// store finds out by itself when it is well again. In historyFile the store keeps
// which disks this node had, so that it notices when one is absent or another
// one; with "" it does so only while it runs.
func Open(ctx context.Context, nodeName, configFile, historyFile string) (*Store, error) {
	s := &Store{
		node:       nodeName,
		configFile: configFile,

		ownerPatience: disk.OwnerPatience,

		history: disk.NewHistory(historyFile),
		told:    map[string]string{},
		disks:   map[string]*diskState{},

		toldOfPaths: map[string]string{},
	}
	c, pools, err := s.readConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	s.pools, s.importFrom, s.projects = pools, c.Import, newProjectIDs(c.ProjectIDs)
	s.loadHistory(ctx)
	s.clock.start(ctx, s.history.LastRun())
	plain := make([][]string, len(pools))
	for i, pool := range pools {
		plain[i] = pool.PlainPaths()
	}
	s.arrange(pools, plain) // globs take time, if a disk does not answer
	return s, nil
}

// readConfig reads the configuration. It is called by one goroutine at a time.
func (s *Store) readConfig(ctx context.Context) (config.Config, []config.Pool, error) {
	c, err := config.ReadFile(s.configFile)
	if err != nil {
		return c, nil, err
	}
	pools, match := c.PoolsFor(s.node)
	if came := fmt.Sprintf("%q of %d", match, len(c.Nodes)); len(c.Nodes) > 0 && s.poolsCameFrom != came {
		s.poolsCameFrom = came
		if log := klog.FromContext(ctx); match == "" {
			log.Info("no entry of nodes matches this node: it has the pools that all others have", "node", s.node, "entries", len(c.Nodes))
		} else {
			log.Info("this node's pools are those of an entry of nodes", "node", s.node, "match", match)
		}
	}
	if len(pools) == 0 {
		return c, nil, fmt.Errorf("%w: it has no pool for node %s", errdefs.ErrInvalid, s.node)
	}
	return c, pools, nil
}

const (
	lookInterval   = 10 * time.Second // at paths, for disks that come, go or are exchanged
	configInterval = 10 * time.Second
	sampleInterval = 500 * time.Millisecond
	decideInterval = time.Second
	countInterval  = 30 * time.Second
	purgeInterval  = time.Minute // after which what could not be purged is tried again
	saveInterval   = time.Minute // of what the history remembers of figures

	// endPatience is how long Run waits for what works in the background. What
	// waits for a disk that does not answer is left behind.
	endPatience = 3 * time.Second
)

// Run takes disks into use as they come, keeps the store's picture of them fresh
// and purges the trash, until the context ends.
func (s *Store) Run(ctx context.Context) {
	s.mu.Lock()
	s.running = ctx
	for _, x := range s.slots {
		s.watch(ctx, x)
	}
	for _, d := range s.inUseLocked() {
		s.serve(d)
	}
	s.mu.Unlock()
	s.background(func() { every(ctx, configInterval, func() { s.reload(ctx) }) })
	s.background(func() { every(ctx, saveInterval, func() { s.remember(ctx) }) })
	every(ctx, decideInterval, func() {
		s.clock.tick(ctx)
		s.decideIfWaiting(ctx)
		if s.hasNews() {
			s.remember(ctx)
		}
	})
	s.remember(context.WithoutCancel(ctx)) // for the next start
	ended := make(chan struct{})
	go func() { s.work.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(endPatience):
		klog.FromContext(ctx).Info("a disk does not answer; hostdir ends all the same")
	}
}

// background runs do in a goroutine that Run waits for.
func (s *Store) background(do func()) { s.work.Go(do) }

// every calls do now and then at each interval, until the context ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	for tick := time.Tick(interval); ctx.Err() == nil; {
		do()
		select {
		case <-ctx.Done():
		case <-tick:
		}
	}
}

// reload takes up a changed configuration, and paths that a glob finds anew. A bad
// configuration changes nothing and is reported once.
func (s *Store) reload(ctx context.Context) {
	c, pools, err := s.readConfig(ctx)
	if err == nil {
		s.projects.setRange(c.ProjectIDs)
	}
	s.mu.Lock()
	if err == nil {
		s.pools, s.importFrom, s.configErr = pools, c.Import, ""
	} else if s.configErr != err.Error() {
		s.configErr = err.Error()
		klog.FromContext(ctx).Error(err, "configuration refused, the last good one stays in force", "file", s.configFile)
	}
	s.mu.Unlock()
	s.findPaths(ctx)
}

// hasNews reports whether what others hold on some disk is not written down nearly
// as it is known now: a kill would lose it.
func (s *Store) hasNews() bool {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	return slices.ContainsFunc(s.inUse(), func(d *diskState) bool {
		f := d.figures()
		kept, known := s.history.Foreign(d.id.UUID)
		change := f.foreign.bytes - kept
		return f.foreign.known && (!known || max(change, -change) > f.size/100)
	})
}

// remember writes down what a restart has to know of the time before it.
func (s *Store) remember(ctx context.Context) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	for _, d := range s.inUse() {
		if f := d.figures().foreign; f.known {
			s.history.SetForeign(d.id.UUID, f.bytes)
		}
		volumes, _ := d.holds()
		s.history.Holds(d.path, d.id.UUID, volumes)
	}
	// A clock in doubt is not written down: the next start would take it for right.
	if last := s.history.LastRun(); s.clock.trusted() && (time.Since(last) > clockAbsence/24 || last.After(time.Now())) {
		s.history.SetLastRun(time.Now())
	}
	s.saveHistory(ctx)
}

// loadHistory and saveHistory log each error once. The caller holds deciding, or
// is alone.
func (s *Store) loadHistory(ctx context.Context) {
	s.history.Load()
	s.tell(ctx, s.history.Unreadable, "it is not known which disks this node had: an empty directory is not made a disk now, unless `hostdir disks init` says so; "+
		"once all disks are mounted, remove the file, and hostdir writes a new one")
}

func (s *Store) saveHistory(ctx context.Context) {
	s.history.Save()
	s.tell(ctx, s.history.Unwritable, "which disks this node has cannot be written down: disks work, but one that is exchanged while hostdir does not run may not be noticed")
}

func (s *Store) tell(ctx context.Context, err error, what string) {
	if err == nil {
		delete(s.told, what)
	} else if s.told[what] != err.Error() {
		s.told[what] = err.Error()
		klog.FromContext(ctx).Error(err, what, "file", s.history.File())
	}
}

// historyErr returns why a restart may not know what this process knows.
func (s *Store) historyErr() error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	return errors.Join(s.history.Unreadable, s.history.Unwritable)
}

// inUse returns the disks in use, in the configuration's order.
func (s *Store) inUse() []*diskState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.inUseLocked()
}

func (s *Store) inUseLocked() []*diskState {
	all := make([]*diskState, 0, len(s.slots))
	for _, x := range s.slots {
		if x.disk != nil {
			all = append(all, x.disk)
		}
	}
	return all
}

// serve starts what works in the background on a disk. The caller holds s.mu.
func (s *Store) serve(d *diskState) {
	if s.running == nil {
		return
	}
	ctx, stop := context.WithCancel(s.running)
	d.stop = stop
	s.background(func() { every(ctx, sampleInterval, func() { _ = d.sample() }) })
	s.background(func() { every(ctx, disk.OwnerInterval, func() { s.show(ctx, d) }) })
	s.background(func() { every(ctx, countInterval, func() { s.count(ctx, d) }) })
	s.background(func() { every(ctx, walkInterval, func() { d.walk(ctx) }) })
	s.background(func() {
		for tick := time.Tick(purgeInterval); ctx.Err() == nil; {
			s.dropUnfinished(ctx, d)
			s.purge(ctx, d)
			select {
			case <-ctx.Done():
			case <-d.wake:
			case <-tick:
			}
		}
	})
}

// wakePurge lets the purge of a disk look at the trash now.
func (d *diskState) wakePurge() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake
	}
}
