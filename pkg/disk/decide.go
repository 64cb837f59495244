package disk

import (
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Candidate is a path, and what Decide has to know of it.
type Candidate struct {
	// Probe is what was found there last.
	Probe Probe
	// Silent reports that the path has not answered. Probe has the path alone.
	Silent bool
	// InUse reports that the disk which was found is in use there.
	InUse bool
	// Claim is what another hostdir has on the disk that was found.
	Claim Claim
	// Approved reports that it was decided so before, and that the disk is being
	// made, or read.
	Approved bool
	// InitEmpty reports that its pool wants a new disk made of an empty filesystem
	// that is mounted there, whatever was there before.
	InitEmpty bool
}

// Decision is what becomes of a candidate.
type Decision struct {
	// Err is why the disk is not used, nil if it is: see ReasonOf.
	Err error
	// entry is what Apply notes in the history, nil for nothing.
	entry *Entry
}

// Override is what an operator says about the disk at a path; the zero value says
// nothing.
type Override struct {
	Action Action
	Path   string
}

// Decide says which disks may be used, and why the others are not. It goes by its
// arguments alone, and changes nothing.
//
// The rules hold at start and while the program runs:
//
//   - A disk that this node has used is used wherever it is mounted.
//   - A disk that this node has never used is refused where another one was
//     seen: the disk was exchanged. Any disk is refused that comes to light when
//     the one above it is unmounted: that one is absent.
//   - An empty directory becomes a disk where none was seen, and where the one
//     that was seen was on the same filesystem: it was emptied. So does an empty
//     filesystem that is mounted where the pool says that it is meant. Otherwise
//     its disk is absent.
//   - Of copies of a disk none is used, except the one with the highest
//     generation or, among those, the one that is in use already. A path that
//     does not answer holds what it held last.
//   - A disk that another hostdir uses is left to that one, and a disk that was
//     used on another node last is used once an operator says so.
//   - A directory that several paths show is used at one of them: where it is in
//     use, or being taken into use, or else at the first.
func Decide(h *History, candidates []Candidate, given Override) []Decision {
	all := make([]*candidate, len(candidates))
	copies := map[string][]*candidate{} // by UUID
	var sound []*candidate              // that are disks, or may become some
	for i, c := range candidates {
		x := &candidate{Candidate: c, given: given.Path == c.Probe.Path}
		all[i] = x
		switch {
		case c.Silent:
			x.Err = Refuse(Pending, "not looked at yet")
		case c.Probe.Err != nil:
			x.Err = c.Probe.Err
			if !dir.IsPassing(x.Err) {
				x.noteForeign(h)
			}
		case c.Probe.Marker == nil:
			// An unmounted disk leaves an empty directory too.
			meant := c.InitEmpty && c.Probe.MountPoint
			x.Err = decideEmpty(h, c.Probe, meant || x.given && given.Action == Init)
			if x.Err == nil {
				sound = append(sound, x)
			}
		default:
			x.Err = decideDisk(h, candidates, c, x.given && given.Action == Accept)
			if uuid := c.Probe.Marker.UUID; c.Probe.holds(uuid) {
				copies[uuid] = append(copies[uuid], x)
				sound = append(sound, x)
			} else {
				x.noteForeign(h)
			}
		}
	}
	// One that was empty when it was looked at may be a disk by now, made at another
	// path that shows it.
	distinct(sound)
	for uuid, group := range copies {
		decideCopies(uuid, group)
	}
	decisions := make([]Decision, len(all))
	for i, x := range all {
		decisions[i] = x.Decision
	}
	return decisions
}

// Apply notes in the history what was decided.
func (h *History) Apply(candidates []Candidate, decisions []Decision) {
	for i, d := range decisions {
		if d.entry != nil {
			h.content.Paths[candidates[i].Probe.Path] = *d.entry
		}
	}
}

// candidate is one on which Decide is at work.
type candidate struct {
	Candidate
	Decision
	// given reports that the operator speaks of this path.
	given bool
}

// noteForeign notes what is at a path where nothing was used yet: the directory
// below its mount point must not be taken for an empty one that was meant.
func (x *candidate) noteForeign(h *History) {
	if _, known := h.content.Paths[x.Probe.Path]; !known && x.Probe.Filesystem.Type != "" {
		x.entry = &Entry{Filesystem: x.Probe.Filesystem, MountPoint: x.Probe.MountPoint}
	}
}

func decideEmpty(h *History, p Probe, approved bool) error {
	was, known := h.content.Paths[p.Path]
	switch {
	case approved:
		return nil
	case !known && h.Unreadable != nil:
		return Refuse(Absent, "it is empty, and what was here is not known: is the disk mounted? If it is, `hostdir disks init %s` makes a disk of it: %w", p.Path, h.Unreadable)
	case !known || was.emptied(p):
		return nil
	default:
		return Refuse(Absent, "%s was here, now there is %s: is the disk mounted? If that is the disk to use, `hostdir disks init %s` makes a new one of it", was, p, p.Path)
	}
}

func decideDisk(h *History, all []Candidate, c Candidate, approved bool) error {
	p := c.Probe
	uuid, generation := p.Marker.UUID, p.Marker.Generation
	if err := p.Marker.checkFilesystem(p.Filesystem); err != nil {
		return Refuse(Copied, "%w; `hostdir disks accept %s` says that this one is right", err, p.Path)
	}
	was := h.content.Paths[p.Path]
	highest, known := h.content.Generations[uuid]
	another := was.Disk != "" && was.Disk != uuid && !approved
	switch {
	case generation < highest:
		return Refuse(Copied, "it is an older copy of disk %s: generation %d, this node has used generation %d; mount that one, or `hostdir disks accept %s` says that this one is right", uuid, generation, highest, p.Path)
	case was.Copy && was.Disk == uuid && generation <= was.Generation:
		return Refuse(Copied, "it is one of several copies of disk %s; `hostdir disks accept %s` says that this one is right", uuid, p.Path)
	case another && was.MountPoint && !p.MountPoint:
		return Refuse(Absent, "no disk is mounted there, as it was with %s; below is disk %s, which `hostdir disks accept %s` puts to use", was, uuid, p.Path)
	case another && !known:
		return Refuse(Exchanged, "the disk was exchanged: it holds disk %s, which this node has never used; before, %s was here: mount that, or `hostdir disks accept %s` says that this one is right", uuid, was, p.Path)
	}
	switch owner := p.Sign.Owner; {
	case c.Claim == Running || c.InUse && c.Claim != Unclaimed:
		return Refuse(Owned, "%s uses it, or did less than %s ago: a disk is used by one hostdir alone; take it out of the pools of one of the two, or give each a directory of its own", owner, OwnerPatience)
	case c.Claim == Foreign && !approved:
		return Refuse(Owned, "%s has used it last, and its volumes are those of that node: if the disk was moved here for good, `hostdir disks accept %s` says so; if this node is a clone of that one, empty the disk", owner, p.Path)
	}
	if c.InUse || approved {
		return nil
	}
	for _, other := range all {
		path := other.Probe.Path
		if held := h.content.Paths[path]; other.Silent && path != p.Path && held.Disk == uuid && held.Generation >= generation {
			return Refuse(Copied, "disk %s was last seen at %s, which does not answer: this may be a copy; `hostdir disks accept %s` says that it is right", uuid, path, p.Path)
		}
	}
	return nil
}

// distinct refuses all but one of the paths that show the same directory, if
// nothing else is wrong with them. It returns the one of each directory, those
// first that have the best claim to it.
func distinct(group []*candidate) (all []*candidate) {
	rank := func(x *candidate) int {
		switch {
		case x.InUse:
			return 0
		case x.Err != nil:
			return 5
		case x.Approved:
			return 1
		case x.given:
			return 2
		case x.Probe.Marker != nil:
			return 3
		default:
			return 4
		}
	}
	slices.SortStableFunc(group, func(a, b *candidate) int { return rank(a) - rank(b) })
	for _, x := range group {
		i := slices.IndexFunc(all, func(y *candidate) bool { return y.Probe.Inode == x.Probe.Inode })
		switch {
		case i < 0:
			all = append(all, x)
		case x.Err == nil:
			x.Err = Refuse(Copied, "it is the same directory as %s: a disk is used at one path alone; take this one out of the pool's paths", all[i].Probe.Path)
		}
	}
	return all
}

// decideCopies chooses among the directories that hold the same disk.
func decideCopies(uuid string, group []*candidate) {
	all := distinct(group)
	if len(all) < 2 {
		return
	}
	generation := func(x *candidate) int { return x.Probe.Marker.Generation }
	newest := generation(slices.MaxFunc(all, func(a, b *candidate) int { return generation(a) - generation(b) }))
	var right []*candidate
	for _, x := range all {
		if generation(x) == newest {
			right = append(right, x)
		}
	}
	for _, x := range group {
		path := x.Probe.Path
		switch {
		case generation(x) < newest:
			x.Err = Refuse(Copied, "it is an older copy of disk %s, generation %d; %s holds generation %d", uuid, generation(x), right[0].Probe.Path, newest)
		case len(right) == 1 || right[0].InUse && x.Probe.Inode == right[0].Probe.Inode:
			continue
		case right[0].InUse:
			x.Err = Refuse(Copied, "it is a copy of disk %s, which is in use at %s; to use this one instead unmount that one, then `hostdir disks accept %s`", uuid, right[0].Probe.Path, path)
		default:
			x.Err = Refuse(Copied, "it holds disk %s, and so does %s: one is a copy, and none is used; `hostdir disks accept %s` says that this one is right", uuid, others(right, x), path)
		}
		x.entry = &Entry{Disk: uuid, Generation: generation(x), Filesystem: x.Probe.Filesystem, Copy: true}
	}
}

// others are the paths of all directories but one.
func others(all []*candidate, but *candidate) string {
	var paths []string
	for _, x := range all {
		if x.Probe.Inode != but.Probe.Inode {
			paths = append(paths, x.Probe.Path)
		}
	}
	return strings.Join(paths, " and ")
}
