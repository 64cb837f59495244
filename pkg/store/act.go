package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
)

// ActResult is what came of an operator's action.
type ActResult struct {
	Path    string
	UUID    string
	Volumes int
	// PersistErr is why a restart may ask again, nil if it does not.
	PersistErr error
}

// Plan returns what an action would do, and changes nothing. Its error is why it
// would be refused.
func (s *Store) Plan(ctx context.Context, action disk.Action, path string) (disk.Plan, error) {
	n, err := s.lookAgain(ctx, path)
	if err != nil {
		return disk.Plan{}, err
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	s.mu.RLock()
	candidates := s.diskCandidates()
	s.mu.RUnlock()
	i := slices.IndexFunc(candidates, func(c disk.Candidate) bool { return c.Probe.Path == path })
	if i < 0 {
		return disk.Plan{}, notConfigured(path)
	}
	plan, err := disk.NewPlan(s.history, candidates, i, action)
	if err == nil && action == disk.Accept {
		plan.Found += fmt.Sprintf(", volumes: %d", n)
	}
	return plan, err
}

// Act does what the plan of this token says, if what was found then is still
// there, and takes the disk into use at once.
func (s *Store) Act(ctx context.Context, action disk.Action, path, token string) (ActResult, error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	plan, err := s.Plan(ctx, action, path)
	if err != nil {
		return ActResult{}, err
	}
	if plan.Token != token {
		return ActResult{}, fmt.Errorf("%s: something else is there by now, %s: nothing was changed, look again", path, plan.Found)
	}
	klog.FromContext(ctx).Info("an operator decides about a disk", "action", action, "path", path, "was", plan.Was, "found", plan.Found)
	// Somebody who hangs up has given the order all the same.
	ctx = context.WithoutCancel(ctx)
	if err := plan.Prepare(); err != nil {
		return ActResult{}, fmt.Errorf("%s: the marker could not be written: %w", path, err)
	}
	if _, err := s.lookAgain(ctx, path); err != nil {
		return ActResult{}, err
	}
	s.setOverride(disk.Override{Action: action, Path: path})
	defer s.setOverride(disk.Override{})
	s.decide(ctx)
	s.mu.RLock()
	x := s.slotAt(path)
	s.mu.RUnlock()
	if x == nil {
		return ActResult{}, notConfigured(path)
	}
	s.takeUp(ctx, x)
	for _, status := range s.Status() {
		switch {
		case status.Path != path:
		case status.Err != nil:
			return ActResult{}, unavailable(path, status.Err)
		default:
			return ActResult{path, status.UUID, status.Volumes, s.historyErr()}, nil
		}
	}
	return ActResult{}, notConfigured(path)
}

func (s *Store) setOverride(o disk.Override) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	s.override = o
}

// lookAgain probes a path now, and returns how many volumes are there. A look that
// does not return is left behind.
func (s *Store) lookAgain(ctx context.Context, path string) (volumes int, err error) {
	s.mu.RLock()
	x := s.slotAt(path)
	s.mu.RUnlock()
	if x == nil {
		return 0, notConfigured(path)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lookPatience, errors.New("it does not answer"))
	defer cancel()
	looked := make(chan int, 1)
	go func() {
		s.probe(x)
		looked <- countVolumes(path)
	}()
	select {
	case n := <-looked:
		return n, nil
	case <-ctx.Done():
		return 0, unavailable(path, context.Cause(ctx))
	}
}

// countVolumes counts what can be volumes at a path, none if that cannot be read.
func countVolumes(path string) (n int) {
	root, err := disk.Open(path)
	if err != nil {
		return 0
	}
	defer root.Close()
	names, _ := root.NamesIn(disk.VolumesDir)
	for _, name := range names {
		if isDirectoryName(name) {
			n++
		}
	}
	return n
}

func notConfigured(path string) error {
	return fmt.Errorf("no pool of this node has the disk %q: `hostdir disks` shows them", path)
}
