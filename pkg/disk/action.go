package disk

import (
	"errors"
	"fmt"
)

// Action is what an operator can decide about a disk that is refused.
type Action string

const (
	// Init makes a new disk of an empty directory.
	Init Action = "init"
	// Accept says that the disk that is there now is the right one: one that
	// this node has never used, or one of several copies.
	Accept Action = "accept"
)

// Plan is what an action is going to do, in words for the operator.
type Plan struct {
	Path string `json:"path"`
	// Was is what was last used there, Found what is there now.
	Was    string `json:"was"`
	Found  string `json:"found"`
	Effect string `json:"effect"`
	// Token stands for what was found: the plan is carried out only if that is
	// still there.
	Token string `json:"token"`

	probe Probe
	// generation is the one to write into the marker, 0 for none.
	generation int
}

// NewPlan plans an action for the candidate of this index. Its error is why the
// action is refused.
func NewPlan(h *History, all []Candidate, i int, action Action) (Plan, error) {
	probe := all[i].Probe
	p := Plan{Path: probe.Path, Was: h.describe(probe.Path), Found: probe.String(), Token: probe.token(), probe: probe}
	var err error
	switch {
	case all[i].Silent:
		err = errors.New("it does not answer: nobody knows what is there")
	case action == Init:
		err = p.planInit()
	case action == Accept:
		err = p.planAccept(h, all, i)
	default:
		err = fmt.Errorf("unknown action %q", action)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", probe.Path, err)
	}
	return p, nil
}

// token changes with whatever is found.
func (p Probe) token() string {
	if p.Marker == nil {
		return fmt.Sprintf("empty %v %v", p.Inode, p.Filesystem)
	}
	return fmt.Sprintf("%v %v", p.Identity(), p.Filesystem)
}

func (p *Plan) planInit() error {
	switch {
	case p.probe.Err != nil:
		return fmt.Errorf("no disk can be made here: %w", p.probe.Err)
	case p.probe.Marker != nil:
		return fmt.Errorf("there is %s already: only an empty directory is made a new disk", p.probe)
	}
	p.Effect = "A new disk is made of the empty directory. No volume of another disk is touched."
	return nil
}

func (p *Plan) planAccept(h *History, all []Candidate, i int) error {
	x := p.probe
	refused := Decide(h, all, Override{})[i].Err
	switch {
	case x.Err != nil:
		return fmt.Errorf("there is nothing that could be accepted: %w", x.Err)
	case x.Marker == nil:
		return fmt.Errorf("there is no disk that could be accepted, only %s: `hostdir disks init %s` makes a new disk of it", x, x.Path)
	case all[i].Claim == Running:
		return refused
	case refused == nil:
		return fmt.Errorf("there is nothing to accept: disk %s is in use there", x.Marker.UUID)
	}
	uuid := x.Marker.UUID
	highest := max(h.content.Generations[uuid], x.Marker.Generation)
	copied := ReasonOf(refused) == Copied
	for _, was := range h.content.Paths { // of those that do not answer, too
		if was.Disk == uuid {
			highest = max(highest, was.Generation)
			copied = copied || was.Copy
		}
	}
	for j, other := range all {
		if j == i || other.Silent || !other.Probe.holds(uuid) {
			continue
		}
		if other.InUse {
			return fmt.Errorf("disk %s is in use at %s: unmount it first", uuid, other.Probe.Path)
		}
		highest = max(highest, other.Probe.Marker.Generation)
	}
	p.Found += fmt.Sprintf(", generation: %d", x.Marker.Generation)
	p.Effect = fmt.Sprintf("Disk %s and its volumes are used as they are here.", uuid)
	if copied {
		if highest == maxGeneration {
			return fmt.Errorf("generation %d of disk %s is the last one: no copy can be accepted any more", highest, uuid)
		}
		p.generation = highest + 1
		p.Effect += fmt.Sprintf(" Its %s gets generation %d: all other copies are refused from now on.", MarkerFile, p.generation)
	}
	return nil
}

// Prepare writes into the disk's marker what the plan asks for. It returns an
// error, and changes nothing, if something else is there by now.
func (p *Plan) Prepare() error {
	if p.generation == 0 {
		return nil
	}
	d, err := Open(p.Path)
	if err != nil {
		return err
	}
	defer d.Close()
	now, err := d.Inode()
	if err != nil {
		return err
	}
	if now == p.probe.Inode {
		_, err = update(d, *p.probe.Marker, func(m *Marker) {
			m.Generation, m.Filesystem = p.generation, p.probe.Filesystem
		})
	}
	if now != p.probe.Inode || errors.Is(err, errChanged) {
		return errors.New("it was exchanged a moment ago: nothing was changed, look again")
	}
	return err
}
