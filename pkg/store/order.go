package store

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"
)

// BaseOrder is what an operator can say about a base directory that is refused.
type BaseOrder string

const (
	// Init makes a new pool of an empty directory.
	Init BaseOrder = "init"
	// Accept says that the pool that is there now is the right one: one that
	// this node has never used, or one of several copies.
	Accept BaseOrder = "accept"
)

// Plan is what an order is going to do, in words for the operator.
type Plan struct {
	Path string
	// Was is what was last used there, Found what is there now.
	Was, Found string
	Effect     string
}

// Done is what came of an order.
type Done struct {
	Path    string
	UUID    string
	Volumes int
	// Forgetful is why a restart may ask again, nil if it does not.
	Forgetful error
}

// PlanOrder tells what an order would do, and changes nothing. Its error is why
// it would be refused.
func (s *Store) PlanOrder(order BaseOrder, path string) (Plan, error) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	p, err := s.plan(order, path)
	return p.Plan, err
}

// CarryOut does what the plan of an order says, if what was found then is still
// there, and puts the base directory to use at once.
func (s *Store) CarryOut(ctx context.Context, order BaseOrder, path, found string) (Done, error) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	p, err := s.plan(order, path)
	if err != nil {
		return Done{}, err
	}
	if p.Found != found {
		return Done{}, fmt.Errorf("%s: there was %s, now there is %s: nothing was changed, look again", path, found, p.Found)
	}
	klog.FromContext(ctx).Info("an operator gives an order", "order", order, "path", path, "was", p.Was, "found", found)
	if p.generation > 0 {
		if err := p.x.raise(p.generation); err != nil {
			return Done{}, fmt.Errorf("%s: the marker could not be written: %w", path, err)
		}
	}
	// Somebody who hangs up has given the order all the same.
	s.use(context.WithoutCancel(ctx), s.lookAround(), approval{order, path})
	for _, b := range s.snapshot() {
		if status := b.status(); b.path == path {
			if status.Err != nil {
				return Done{}, b.unavailable(status.Err)
			}
			return Done{path, status.UUID, status.Volumes, errors.Join(s.seen.unreadable, s.seen.unwritable)}, nil
		}
	}
	return Done{}, notConfigured(path)
}

func notConfigured(path string) error {
	return fmt.Errorf("no pool of this node has the base directory %q: `hostdir pools` shows them", path)
}

// planned is a plan and what to do it with.
type planned struct {
	Plan
	x *sight
	// generation is the one to write into the marker, 0 for none.
	generation int
}

func (s *Store) plan(order BaseOrder, path string) (planned, error) {
	all := s.lookAround()
	s.seen.judge(all, approval{})
	for _, x := range all {
		if x.path != path {
			continue
		}
		p := planned{Plan: Plan{Path: path, Was: s.seen.describe(path), Found: x.String()}, x: x}
		var err error
		switch order {
		case Init:
			err = p.planInit()
		case Accept:
			err = p.planAccept(s.seen, all)
		default:
			err = fmt.Errorf("%q is no order", order)
		}
		if err != nil {
			return planned{}, fmt.Errorf("%s: %w", path, err)
		}
		return p, nil
	}
	return planned{}, notConfigured(path)
}

func (p *planned) planInit() error {
	switch {
	case p.x.err != nil:
		return fmt.Errorf("no pool can be made here: %w", p.x.err)
	case p.x.marker != nil:
		return fmt.Errorf("there is %s already: only an empty directory is made a new pool", p.x)
	}
	p.Effect = "A new pool is made of the empty directory. No volume of another pool is touched."
	return nil
}

func (p *planned) planAccept(seen *seen, all []*sight) error {
	x := p.x
	switch {
	case x.err != nil:
		return fmt.Errorf("there is nothing that could be accepted: %w", x.err)
	case x.marker == nil:
		return fmt.Errorf("there is no pool that could be accepted, only %s: `hostdir pools init %s` makes a new pool of it", x, x.path)
	case x.refused == nil:
		return fmt.Errorf("there is nothing to accept: pool %s is in use there", x.marker.UUID)
	}
	uuid := x.marker.UUID
	highest := max(seen.pools[uuid], x.marker.Generation)
	if was := seen.bases[x.path]; was.Pool == uuid {
		highest = max(highest, was.Generation)
	}
	for _, other := range all {
		if other == x || !other.holds(uuid) {
			continue
		}
		if other.inUse() {
			return fmt.Errorf("pool %s is in use at %s: unmount it first", uuid, other.path)
		}
		highest = max(highest, other.marker.Generation)
	}
	n, err := x.countVolumes()
	if err != nil {
		return err
	}
	p.Found += fmt.Sprintf(", generation: %d, volumes: %d", x.marker.Generation, n)
	p.Effect = fmt.Sprintf("Pool %s and its volumes are used as they are here.", uuid)
	if refusalOf(x.refused) == Copied {
		if highest == maxGeneration {
			return fmt.Errorf("generation %d of pool %s is the last one: no copy can be accepted any more", highest, uuid)
		}
		p.generation = highest + 1
		p.Effect += fmt.Sprintf(" Its %s gets generation %d: all other copies are refused from now on.", markerFile, p.generation)
	}
	return nil
}

// raise gives the pool at x a generation and the filesystem that it is on now.
func (x *sight) raise(generation int) error {
	d, err := openBase(x.path)
	if err != nil {
		return err
	}
	defer d.close()
	now, err := d.inode()
	if err != nil {
		return err
	}
	m, err := d.loadMarker()
	if err != nil {
		return err
	}
	if now != x.inode || m.UUID != x.marker.UUID || m.Generation != x.marker.Generation {
		return errors.New("it was exchanged a moment ago: nothing was changed, look again")
	}
	m.Generation, m.Filesystem = generation, x.filesystem
	data, err := m.encode()
	if err != nil {
		return err
	}
	return d.replaceFile(markerNewFile, markerFile, data)
}
