package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/dir"
)

// world is a node whose disks come and go, as values: what is mounted at its
// paths, what the program that runs there uses, and what it remembers.
type world struct {
	*rand.Rand
	history *History
	// things are what can be mounted; below is what each path has when nothing is.
	things []*thing
	below  map[string]*thing
	paths  []string

	mounted   map[string]*thing
	silent    map[string]bool
	initEmpty map[string]bool
	inUse     map[string]Identity

	inodes int
	made   int
}

// thing is a directory with a marker, or without one.
type thing struct {
	inode      dir.Inode
	filesystem dir.Filesystem
	marker     *Marker
	files      bool
}

func newWorld(seed uint64) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 0)), history: NewHistory(""), paths: []string{"/a", "/b", "/c", "/d"},
		below: map[string]*thing{}, mounted: map[string]*thing{}, silent: map[string]bool{}, initEmpty: map[string]bool{}, inUse: map[string]Identity{},
	}
	for _, path := range w.paths {
		w.below[path] = w.make(root)
	}
	for _, filesystem := range []dir.Filesystem{hdd, ssd, unnamed} {
		w.things = append(w.things, w.make(filesystem))
	}
	return w
}

func (w *world) make(filesystem dir.Filesystem) *thing {
	w.inodes++
	return &thing{inode: dir.Inode{Device: device(filesystem), Number: uint64(w.inodes)}, filesystem: filesystem}
}

func pickOne[T any](w *world, all []T) T { return all[w.IntN(len(all))] }

// event lets something happen, and returns what.
func (w *world) event(t *testing.T) string {
	path, x := pickOne(w, w.paths), pickOne(w, w.things)
	switch w.IntN(13) {
	case 0, 1, 2:
		w.mounted[path] = x
		return fmt.Sprintf("%v is mounted at %s", x.inode, path)
	case 3, 4:
		delete(w.mounted, path)
		return path + " is unmounted"
	case 5:
		w.silent[path] = !w.silent[path]
		return fmt.Sprintf("%s is silent: %t", path, w.silent[path])
	case 6:
		if len(w.things) > 8 {
			w.things = w.things[:3]
		}
		clone := w.make(pickOne(w, []dir.Filesystem{x.filesystem, x.filesystem, ssd}))
		clone.marker, clone.files = x.marker, x.files
		w.things = append(w.things, clone)
		w.mounted[path] = clone
		return fmt.Sprintf("%v is copied to %v, which is mounted at %s", x.inode, clone.inode, path)
	case 7:
		clear(w.inUse)
		if w.IntN(8) == 0 {
			w.history = NewHistory("")
			return "restart without history"
		}
		return "restart"
	case 8:
		if w.IntN(4) > 0 {
			return "nothing"
		}
		x.marker, x.files = nil, !x.files
		return fmt.Sprintf("%v is emptied, or gets files", x.inode)
	case 9:
		filesystem := dir.Filesystem{Type: "ext4", UUID: fmt.Sprintf("formatted-%d", w.inodes)}
		*x = *w.make(pickOne(w, []dir.Filesystem{filesystem, unnamed}))
		return fmt.Sprintf("a disk is formatted: it is %v", x.inode)
	case 10:
		w.initEmpty[path] = !w.initEmpty[path]
		return fmt.Sprintf("initEmpty of %s: %t", path, w.initEmpty[path])
	default:
		action := pickOne(w, []Action{Init, Accept})
		if !w.order(t, action, path) {
			return fmt.Sprintf("%s of %s is refused", action, path)
		}
		return fmt.Sprintf("%s of %s", action, path)
	}
}

// order does what an operator's word does to the marker, and decides once more.
func (w *world) order(t *testing.T, action Action, path string) bool {
	all := w.candidates()
	plan, err := NewPlan(w.history, all, slices.Index(w.paths, path), action)
	if err != nil {
		return false
	}
	if plan.generation > 0 {
		m := *w.at(path).marker
		m.Generation, m.Filesystem = plan.generation, plan.probe.Filesystem
		w.at(path).marker = &m
	}
	if refused := w.decide(t, Override{action, path})[path]; refused != nil {
		t.Errorf("%s of %s was planned, and is refused: %v", action, path, refused)
	}
	return true
}

func (w *world) at(path string) *thing {
	if x := w.mounted[path]; x != nil {
		return x
	}
	return w.below[path]
}

func (w *world) candidates() (all []Candidate) {
	for _, path := range w.paths {
		x := w.at(path)
		if w.silent[path] {
			c := silent(path)
			c.InitEmpty = w.initEmpty[path]
			all = append(all, c)
			continue
		}
		c := Candidate{InitEmpty: w.initEmpty[path], Probe: Probe{Path: path, Inode: x.inode, Filesystem: x.filesystem, Marker: x.marker, MountPoint: w.mounted[path] != nil}}
		switch id, used := w.inUse[path]; {
		case x.files && x.marker == nil:
			c.Probe.Err = fmt.Errorf("it is not empty")
		case x.marker != nil:
			c.InUse = used && id == c.Probe.Identity()
		}
		all = append(all, c)
	}
	return all
}

// decide holds what is decided to the promises, and then does what the store does.
func (w *world) decide(t *testing.T, given Override) map[string]error {
	all := w.candidates()
	paths, generations := maps.Clone(w.history.content.Paths), maps.Clone(w.history.content.Generations)
	decisions := Decide(w.history, all, given)
	if diff := cmp.Diff(paths, w.history.content.Paths) + cmp.Diff(generations, w.history.content.Generations); diff != "" {
		t.Errorf("the decision alone has changed the history:\n%s", diff)
	}
	w.wantSafe(t, all, decisions, given)
	w.wantAnyOrder(t, all, decisions, given)

	w.history.Apply(all, decisions)
	refused := map[string]error{}
	for i, c := range all {
		path := c.Probe.Path
		switch refused[path] = decisions[i].Err; {
		case c.Silent: // calls hang there, and go on once it answers
		case refused[path] != nil:
			delete(w.inUse, path)
		default:
			if c.Probe.Marker == nil {
				w.made++
				uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", w.made)
				w.history.Intend(uuid)
				w.at(path).marker = &Marker{Version: markerVersion, UUID: uuid, Filesystem: c.Probe.Filesystem}
				c.Probe.Marker = w.at(path).marker
			}
			w.history.Used(c.Probe)
			w.inUse[path] = c.Probe.Identity()
		}
	}
	return refused
}

func (w *world) wantSafe(t *testing.T, all []Candidate, decisions []Decision, given Override) {
	t.Helper()
	usedAt, uuidAt := map[dir.Inode]string{}, map[string]string{}
	newest := map[string]int{} // by UUID, of all that is there
	copies := map[Identity]bool{}
	for _, c := range all {
		if m := c.Probe.Marker; m != nil && c.Probe.holds(m.UUID) {
			newest[m.UUID] = max(newest[m.UUID], m.Generation)
			copies[c.Probe.Identity()] = true
		}
	}
	for i, c := range all {
		p, was := c.Probe, w.history.At(c.Probe.Path)
		if decisions[i].Err != nil {
			if m := p.Marker; c.InUse && m.Generation == max(newest[m.UUID], w.history.content.Generations[m.UUID]) {
				t.Errorf("%s is in use, and refused: %v", p.Path, decisions[i].Err)
			}
			if meant(c) && ReasonOf(decisions[i].Err) != Copied { // but where another path shows it
				t.Errorf("%s is empty, its pool says that it is meant, and it is refused: %v", p.Path, decisions[i].Err)
			}
			if p.Marker != nil && ReasonOf(decisions[i].Err) == Exchanged {
				if _, known := w.history.content.Generations[p.Marker.UUID]; known {
					t.Errorf("%s holds disk %s, which this node has used, and is refused: %v", p.Path, p.Marker.UUID, decisions[i].Err)
				}
			}
			continue
		}
		if c.Silent || p.Err != nil {
			t.Fatalf("%s is used, of which nothing is known", p.Path)
		}
		if other, twice := usedAt[p.Inode]; twice {
			t.Errorf("%s and %s are the same directory, and both are used", p.Path, other)
		}
		usedAt[p.Inode] = p.Path
		said := given.Path == p.Path
		if p.Marker == nil {
			if _, known := w.history.content.Paths[p.Path]; known && !said && !meant(c) && (was.Filesystem != p.Filesystem || p.Filesystem.UUID == "") {
				t.Errorf("%s was %s, and is made a disk on %s", p.Path, was, p.Filesystem)
			}
			continue
		}
		uuid, generation := p.Marker.UUID, p.Marker.Generation
		if other, twice := uuidAt[uuid]; twice {
			t.Errorf("%s and %s hold disk %s, and both are used", p.Path, other, uuid)
		}
		uuidAt[uuid] = p.Path
		for id := range copies {
			if id.UUID == uuid && id.Generation == generation && id.Inode != p.Inode && !c.InUse {
				t.Errorf("%s holds disk %s, %v is its copy, and nobody has said which is right", p.Path, uuid, id.Inode)
			}
		}
		highest, known := w.history.content.Generations[uuid]
		if generation < max(highest, newest[uuid]) {
			t.Errorf("%s holds generation %d of disk %s, and is used; this node has used %d", p.Path, generation, uuid, highest)
		}
		if was.Disk != "" && was.Disk != uuid && !known && !said {
			t.Errorf("%s was %s, and disk %s is used, which this node has never seen", p.Path, was, uuid)
		}
		for path, id := range w.inUse {
			if w.silent[path] && id.UUID == uuid && id.Generation >= generation && !c.InUse {
				t.Errorf("disk %s is used at %s while %s does not answer, where it is in use", uuid, p.Path, path)
			}
		}
	}
}

// meant reports whether an empty filesystem is mounted where the pool wants that.
func meant(c Candidate) bool {
	p := c.Probe
	return c.InitEmpty && !c.Silent && p.Err == nil && p.Marker == nil && p.MountPoint
}

// wantAnyOrder decides once more with the candidates in another order. Of paths
// that show one directory each may be the one at which it is used.
func (w *world) wantAnyOrder(t *testing.T, all []Candidate, decisions []Decision, given Override) {
	t.Helper()
	outcome := func(all []Candidate, decisions []Decision) map[string][]string {
		m := map[string][]string{}
		for i, c := range all {
			key := fmt.Sprint(c.Probe.Inode)
			if c.Silent {
				key = c.Probe.Path
			}
			m[key] = append(m[key], fmt.Sprintf("%q", ReasonOf(decisions[i].Err)))
			slices.Sort(m[key])
		}
		return m
	}
	shuffled := slices.Clone(all)
	w.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	again := Decide(w.history, shuffled, given)
	if diff := cmp.Diff(outcome(all, decisions), outcome(shuffled, again)); diff != "" {
		t.Errorf("it depends on the order of the candidates:\n%s", diff)
	}
}

// TestDecideInAnyWorld lets disks come and go at random, with copies, restarts,
// paths that do not answer, disks that are formatted anew, and operators who say yes
// to anything.
func TestDecideInAnyWorld(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(seed)
		var log []string
		for range 80 {
			log = append(log, w.event(t))
			w.decide(t, Override{})
			if t.Failed() {
				t.Fatalf("seed %d: %q", seed, log)
			}
		}
	}
}
