package store

import (
	"fmt"
	"slices"
	"strings"
)

// approval is the order that an operator is giving for a path; zero for none.
type approval struct {
	order BaseOrder
	path  string
}

// judge says of all that lookAround has seen what may be used and why the rest is
// not, unless an operator is just giving the approval.
//
// The rules, which hold at start and while the program runs:
//
//   - A pool that this node has used is used wherever it is mounted.
//   - Another pool at a path where one was seen is exchanged. So is any pool
//     that comes to light when a disk is unmounted.
//   - An empty directory becomes a pool where none was seen, and where the
//     one that was seen was on the same filesystem: it was emptied.
//     Otherwise its disk is absent.
//   - Of copies of a pool none is used, except the one that is in use already
//     or has the highest generation.
func (s *seen) judge(all []*sight, given approval) {
	copies := map[string][]*sight{} // by the pool's UUID
	for _, x := range all {
		switch {
		case x.err != nil:
			x.refused = x.err
			s.foreign(x)
		case x.marker == nil:
			x.refused = s.judgeEmpty(x, given == approval{Init, x.path})
		default:
			x.refused = s.judgePool(x, given == approval{Accept, x.path})
			if x.holds(x.marker.UUID) {
				copies[x.marker.UUID] = append(copies[x.marker.UUID], x)
			} else {
				s.foreign(x)
			}
		}
	}
	for uuid, group := range copies {
		s.judgeCopies(uuid, group)
	}
}

func (s *seen) judgeEmpty(x *sight, approved bool) error {
	was, known := s.bases[x.path]
	switch {
	case approved:
		return nil
	case !known && s.unreadable != nil:
		return refuse(Absent, "it is empty, and what was here is not known: is the disk mounted? If it is, `hostdir pools init %s` makes a pool of it: %w", x.path, s.unreadable)
	case !known || was.emptied(x):
		return nil
	default:
		return refuse(Absent, "%s was here, now there is %s: is the disk mounted? If that is the disk to use, `hostdir pools init %s` makes a new pool of it", was, x, x.path)
	}
}

// emptied tells whether an empty directory is surely where the pool was that was
// seen. A filesystem that tells no UUID is never sure.
func (s sighting) emptied(x *sight) bool {
	return s.Filesystem == x.filesystem && x.filesystem.UUID != "" && !s.Copy && (x.mountPoint || !s.MountPoint)
}

func (s *seen) judgePool(x *sight, approved bool) error {
	uuid, generation := x.marker.UUID, x.marker.Generation
	if err := x.marker.checkFilesystem(x.filesystem); err != nil {
		return refuse(Copied, "%w; `hostdir pools accept %s` says that this one is right", err, x.path)
	}
	was := s.bases[x.path]
	highest, known := s.pools[uuid]
	another := was.Pool != "" && was.Pool != uuid && !approved
	switch {
	case generation < highest:
		return refuse(Copied, "it is an older copy of pool %s: generation %d, this node has used generation %d; mount that one, or `hostdir pools accept %s` says that this one is right", uuid, generation, highest, x.path)
	case was.Copy && was.Pool == uuid && generation <= was.Generation:
		return refuse(Copied, "it is one of several copies of pool %s; `hostdir pools accept %s` says that this one is right", uuid, x.path)
	case another && was.MountPoint && !x.mountPoint:
		return refuse(Absent, "no disk is mounted there, as it was with %s; below is pool %s, which `hostdir pools accept %s` puts to use", was, uuid, x.path)
	case another && !known:
		return refuse(Exchanged, "the disk was exchanged: it holds pool %s, which this node has never used; before, %s was here: mount that, or `hostdir pools accept %s` says that this one is right", uuid, was, x.path)
	}
	return nil
}

// judgeCopies chooses among the directories that hold the same pool.
func (s *seen) judgeCopies(uuid string, group []*sight) {
	rank := func(x *sight) int {
		switch {
		case x.inUse():
			return 0
		case x.refused == nil:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(group, func(a, b *sight) int { return rank(a) - rank(b) })
	var distinct []*sight
	for _, x := range group {
		if i := slices.IndexFunc(distinct, func(y *sight) bool { return y.inode == x.inode }); i >= 0 {
			x.refused = refuse(Copied, "it is the same directory as %s: pool %s is used there", distinct[i].path, uuid)
		} else {
			distinct = append(distinct, x)
		}
	}
	if len(distinct) < 2 {
		return
	}
	newest := slices.MaxFunc(distinct, func(a, b *sight) int { return a.marker.Generation - b.marker.Generation }).marker.Generation
	var right []*sight
	for _, x := range distinct {
		if x.marker.Generation == newest {
			right = append(right, x)
		}
	}
	for _, x := range distinct {
		switch {
		case x.marker.Generation < newest:
			x.refused = refuse(Copied, "it is an older copy of pool %s, generation %d; %s holds generation %d", uuid, x.marker.Generation, right[0].path, newest)
		case len(right) == 1 || x == right[0] && x.inUse():
			continue
		case right[0].inUse():
			x.refused = refuse(Copied, "it is a copy of pool %s, which is in use at %s; to use this one instead unmount that one, then `hostdir pools accept %s`", uuid, right[0].path, x.path)
		default:
			x.refused = refuse(Copied, "it holds pool %s, and so does %s: one is a copy, and none is used; `hostdir pools accept %s` says that this one is right", uuid, others(right, x), x.path)
		}
		s.copied(x)
	}
}

// others are the paths of all but one.
func others(all []*sight, but *sight) string {
	var paths []string
	for _, x := range all {
		if x != but {
			paths = append(paths, x.path)
		}
	}
	return strings.Join(paths, " and ")
}

// describe says what was last seen at a path, for people.
func (s *seen) describe(path string) string {
	was, known := s.bases[path]
	switch {
	case known && was.Copy:
		return fmt.Sprintf("a copy of %s, which was refused", was)
	case known:
		return was.String()
	case s.unreadable != nil:
		return "not known: " + s.unreadable.Error()
	default:
		return "nothing that this node has used"
	}
}
