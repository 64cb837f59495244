package disk

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

const (
	one   = "11111111-1111-4111-8111-111111111111"
	two   = "22222222-2222-4222-8222-222222222222"
	three = "33333333-3333-4333-8333-333333333333"
)

// Filesystems: that of the node, on which nothing is a mount point here, and
// those of disks. One has no UUID.
var (
	root    = dir.Filesystem{Type: "ext4", UUID: "root"}
	hdd     = dir.Filesystem{Type: "ext4", UUID: "hdd"}
	ssd     = dir.Filesystem{Type: "xfs", UUID: "ssd"}
	unnamed = dir.Filesystem{Type: "tmpfs"}
)

// empty is a candidate that is an empty directory, holding one that is a disk
// made where it is. Directories of one filesystem differ in their inode.
func empty(path string, filesystem dir.Filesystem, inode uint64) Candidate {
	return Candidate{Probe: Probe{Path: path, Inode: dir.Inode{Device: device(filesystem), Number: inode}, Filesystem: filesystem, MountPoint: filesystem != root}}
}

func holding(path, uuid string, generation int, filesystem dir.Filesystem, inode uint64) Candidate {
	c := empty(path, filesystem, inode)
	c.Probe.Marker = &Marker{Version: markerVersion, UUID: uuid, Generation: generation, Filesystem: filesystem}
	return c
}

func device(filesystem dir.Filesystem) (n uint64) {
	for _, b := range []byte(filesystem.String()) {
		n = 31*n + uint64(b)
	}
	return n
}

func inUse(c Candidate) Candidate { c.InUse = true; return c }

// approved is a disk that is being taken into use.
func approved(c Candidate) Candidate { c.Approved = true; return c }

// madeOn is a disk whose marker names another filesystem than the one it is on.
func madeOn(filesystem dir.Filesystem, c Candidate) Candidate {
	m := *c.Probe.Marker
	m.Filesystem = filesystem
	c.Probe.Marker = &m
	return c
}

// mountedOn is a mount of its own on the filesystem that others lie on as well.
func mountedOn(c Candidate) Candidate { c.Probe.MountPoint = true; return c }

// claimed is a disk that another hostdir has used last.
func claimed(c Candidate, claim Claim) Candidate {
	c.Claim, c.Probe.Sign.Owner = claim, Owner{Node: "elsewhere"}
	return c
}

// meantEmpty is one of a pool with initEmpty.
func meantEmpty(c Candidate) Candidate { c.InitEmpty = true; return c }

func silent(path string) Candidate { return Candidate{Probe: Probe{Path: path}, Silent: true} }

func faulty(c Candidate, err error) Candidate { c.Probe.Err = err; return c }

// used is the entry of a disk that was used, refusedCopy that of a copy.
func used(uuid string, generation int, filesystem dir.Filesystem) Entry {
	return Entry{Disk: uuid, Generation: generation, Filesystem: filesystem, MountPoint: filesystem != root}
}

func refusedCopy(uuid string, generation int, filesystem dir.Filesystem) Entry {
	return Entry{Disk: uuid, Generation: generation, Filesystem: filesystem, Copy: true}
}

func foreign(filesystem dir.Filesystem) Entry {
	return Entry{Filesystem: filesystem, MountPoint: filesystem != root}
}

// remembering is a history with these entries, by path. Its disks have the
// generations of the entries, but for copies, and those that are given.
func remembering(entries map[string]Entry, generations map[string]int) *History {
	h := NewHistory("")
	maps.Copy(h.content.Generations, generations)
	for path, e := range entries {
		h.content.Paths[path] = e
		if e.Disk != "" && !e.Copy {
			h.content.Generations[e.Disk] = max(h.content.Generations[e.Disk], e.Generation)
		}
	}
	return h
}

type entries = map[string]Entry

// answer is what Decide has to say of a candidate: the reason, "" if the disk is
// used, and part of the error.
type answer struct {
	reason Reason
	says   string
}

var usable = answer{}

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		name       string
		history    *History
		candidates []Candidate
		given      Override
		want       []answer
		// notes are what is new in the history.
		notes entries
	}{
		{
			name:       "an empty directory on a node that knows nothing",
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{usable},
		},
		{
			name:       "an empty disk on a node that knows nothing",
			candidates: []Candidate{empty("/a", hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "a disk that another hostdir uses",
			history:    remembering(entries{"/a": used(one, 3, hdd)}, nil),
			candidates: []Candidate{claimed(holding("/a", one, 3, hdd, 2), Running), holding("/b", two, 0, ssd, 3)},
			want:       []answer{{Owned, "hostdir on node elsewhere uses it"}, usable},
		},
		{
			name:       "a disk that another hostdir uses, and an operator accepts",
			candidates: []Candidate{claimed(holding("/a", one, 3, hdd, 2), Running)},
			given:      Override{Accept, "/a"},
			want:       []answer{{Owned, "give each a directory of its own"}},
		},
		{
			name:       "a disk that another hostdir has taken over",
			history:    remembering(entries{"/a": used(one, 3, hdd)}, nil),
			candidates: []Candidate{claimed(inUse(holding("/a", one, 3, hdd, 2)), Running)},
			want:       []answer{{Owned, "hostdir on node elsewhere uses it"}},
		},
		{
			name:       "a disk that another hostdir has taken over, and left",
			history:    remembering(entries{"/a": used(one, 3, hdd)}, nil),
			candidates: []Candidate{claimed(inUse(holding("/a", one, 3, hdd, 2)), Left)},
			want:       []answer{{Owned, "hostdir on node elsewhere uses it"}},
		},
		{
			name:       "a disk that another hostdir of this node has left",
			candidates: []Candidate{claimed(holding("/a", one, 3, hdd, 2), Left)},
			want:       []answer{usable},
		},
		{
			name:       "a disk of another node",
			candidates: []Candidate{claimed(holding("/a", one, 3, hdd, 2), Foreign)},
			want:       []answer{{Owned, "`hostdir disks accept /a` says so"}},
		},
		{
			name:       "a disk of another node that an operator accepts",
			candidates: []Candidate{claimed(holding("/a", one, 3, hdd, 2), Foreign)},
			given:      Override{Accept, "/a"},
			want:       []answer{usable},
		},
		{
			name:       "a disk on a node that knows nothing",
			candidates: []Candidate{holding("/a", one, 3, hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "a disk where it was",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{inUse(holding("/a", one, 0, hdd, 2))},
			want:       []answer{usable},
		},
		{
			name:       "a path that has not answered yet",
			candidates: []Candidate{silent("/a")},
			want:       []answer{{Pending, "not looked at yet"}},
		},
		{
			name:       "a path that has not answered yet, for which an operator has spoken",
			candidates: []Candidate{silent("/a")},
			given:      Override{Init, "/a"},
			want:       []answer{{Pending, "not looked at yet"}},
		},

		// What is absent.
		{
			name:       "a disk that is not mounted",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{{Absent, "disk " + one + " on ext4 hdd was here, now there is an empty directory on ext4 root: is the disk mounted? If that is the disk to use, `hostdir disks init /a`"}},
		},
		{
			name:       "a disk that is not mounted, and an operator who wants the directory",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", root, 1)},
			given:      Override{Init, "/a"},
			want:       []answer{usable},
		},
		{
			name:       "a disk that is not mounted, and an operator who speaks of another path, or of accepting",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(two, 0, ssd)}, nil),
			candidates: []Candidate{empty("/a", root, 1), empty("/b", root, 2)},
			given:      Override{Accept, "/b"},
			want:       []answer{{Absent, "/a"}, {Absent, "/b"}},
		},
		{
			name:       "an empty disk in place of another",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", ssd, 2)},
			want:       []answer{{Absent, "now there is an empty directory on xfs ssd"}},
		},
		{
			name:       "a directory that is gone",
			history:    remembering(entries{"/a": used(one, 0, root)}, nil),
			candidates: []Candidate{faulty(Candidate{Probe: Probe{Path: "/a"}}, Refuse(Absent, "it is not there"))},
			want:       []answer{{Absent, "it is not there"}},
		},
		{
			name:       "a disk that was made below a mount point by mistake comes to light",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, map[string]int{two: 0}),
			candidates: []Candidate{holding("/a", two, 0, root, 1)},
			want:       []answer{{Absent, "no disk is mounted there, as it was with disk " + one}},
		},
		{
			name:       "a disk below a mount point, of which this node knows nothing",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, root, 1)},
			want:       []answer{{Absent, "below is disk " + two + ", which `hostdir disks accept /a` puts to use"}},
		},
		{
			name:       "a disk below a mount point, accepted",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, map[string]int{two: 0}),
			candidates: []Candidate{holding("/a", two, 0, root, 1)},
			given:      Override{Accept, "/a"},
			want:       []answer{usable},
		},
		{
			name:       "three disks, one of them mounted",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(two, 0, ssd), "/c": used(three, 0, root)}, nil),
			candidates: []Candidate{empty("/a", root, 1), holding("/b", two, 0, ssd, 2), empty("/c", hdd, 2)},
			want:       []answer{{Absent, one}, usable, {Absent, three}},
		},

		// What was emptied.
		{
			name:       "a plain directory, emptied",
			history:    remembering(entries{"/a": used(one, 0, root)}, nil),
			candidates: []Candidate{empty("/a", root, 7)},
			want:       []answer{usable},
		},
		{
			name:       "a disk, emptied",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "a subvolume that is not mounted, on the filesystem that it is of",
			history:    remembering(entries{"/a": {Disk: one, Filesystem: root, MountPoint: true}}, nil),
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},
		{
			name:       "a subvolume, emptied",
			history:    remembering(entries{"/a": {Disk: one, Filesystem: root, MountPoint: true}}, nil),
			candidates: []Candidate{mountedOn(empty("/a", root, 1))},
			want:       []answer{usable},
		},
		{
			name:       "an empty filesystem without UUID where one like it was",
			history:    remembering(entries{"/a": used(one, 0, unnamed)}, nil),
			candidates: []Candidate{empty("/a", unnamed, 1)},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},
		{
			name:       "an empty filesystem whose UUID was not known then",
			history:    remembering(entries{"/a": used(one, 0, dir.Filesystem{Type: "ext4"})}, nil),
			candidates: []Candidate{empty("/a", hdd, 1)},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},
		{
			name:       "an emptied copy",
			history:    remembering(entries{"/a": refusedCopy(one, 0, root)}, nil),
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},

		// What the pool says is meant to be empty.
		{
			name:       "an empty disk in place of another, as its pool wants it",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2))},
			want:       []answer{usable},
		},
		{
			name:       "an empty disk in place of another, as the pool of another path wants it",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", ssd, 2), meantEmpty(silent("/b"))},
			want:       []answer{{Absent, "is the disk mounted?"}, {Pending, ""}},
		},
		{
			name:       "an empty disk without UUID in place of one like it",
			history:    remembering(entries{"/a": used(one, 0, unnamed)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", unnamed, 2))},
			want:       []answer{usable},
		},
		{
			name:       "an empty disk in place of a foreign one",
			history:    remembering(entries{"/a": foreign(hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2))},
			want:       []answer{usable},
		},
		{
			name:       "an empty disk in place of a copy that was refused",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2)), meantEmpty(holding("/b", one, 0, hdd, 3))},
			want:       []answer{usable, {Copied, "it is one of several copies"}},
		},
		{
			name:       "an unmounted disk whose pool wants empty ones",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", root, 1))},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},
		{
			name:       "a subvolume that is not mounted, and whose pool wants empty ones",
			history:    remembering(entries{"/a": {Disk: one, Filesystem: root, MountPoint: true}}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", root, 1))},
			want:       []answer{{Absent, "is the disk mounted?"}},
		},
		{
			name:       "a disk with files in place of another, whose pool wants empty ones",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(faulty(empty("/a", ssd, 2), errors.New("it is not empty")))},
			want:       []answer{{Faulty, "it is not empty"}},
		},
		{
			name:       "a disk that could not be read to the end, and whose pool wants empty ones",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(faulty(empty("/a", ssd, 2), unix.EIO))},
			want:       []answer{{Faulty, "input/output error"}},
		},
		{
			name:       "an unknown disk in place of another, whose pool wants empty ones",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(holding("/a", two, 0, ssd, 2))},
			want:       []answer{{Exchanged, two}},
		},
		{
			name:       "a disk that has moved, and an empty one in its place",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2)), meantEmpty(inUse(holding("/b", one, 0, hdd, 3)))},
			want:       []answer{usable, usable},
		},
		{
			name:       "a disk that is back where an empty one was made a disk meanwhile",
			history:    remembering(entries{"/a": used(two, 0, ssd)}, map[string]int{one: 0}),
			candidates: []Candidate{meantEmpty(holding("/a", one, 0, hdd, 2))},
			want:       []answer{usable},
		},
		{
			name:       "a disk and the one that was made in its place, swapped",
			history:    remembering(entries{"/a": used(two, 0, ssd), "/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(holding("/a", one, 0, hdd, 2)), meantEmpty(holding("/b", two, 0, ssd, 3))},
			want:       []answer{usable, usable},
		},
		{
			name:       "a disk that was made of an empty one before a crash",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, map[string]int{two: 0}),
			candidates: []Candidate{meantEmpty(holding("/a", two, 0, ssd, 2))},
			want:       []answer{usable},
		},
		{
			name:       "an empty disk at two paths, where it is meant at one",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(two, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", ssd, 2), meantEmpty(empty("/b", ssd, 2))},
			want:       []answer{{Absent, one}, usable},
		},
		{
			name:       "an empty disk at two paths, where it is meant at both",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(two, 0, hdd)}, nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2)), meantEmpty(approved(empty("/b", ssd, 2)))},
			want:       []answer{{Copied, "the same directory as /b"}, usable},
		},
		{
			name:       "an empty disk, and what was there is not known",
			history:    unreadable(nil),
			candidates: []Candidate{meantEmpty(empty("/a", ssd, 2)), meantEmpty(empty("/b", root, 1))},
			want:       []answer{usable, {Absent, "`hostdir disks init /b`"}},
		},

		// What was never a disk of this node.
		{
			name:       "files in the way",
			candidates: []Candidate{faulty(empty("/a", hdd, 2), errors.New("it is not empty"))},
			want:       []answer{{Faulty, "it is not empty"}},
			notes:      entries{"/a": foreign(hdd)},
		},
		{
			name:       "files in the way of a disk that is known",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{faulty(empty("/a", root, 1), errors.New("it is not empty"))},
			want:       []answer{{Faulty, "it is not empty"}},
		},
		{
			name:       "a path of which nothing could be found out",
			candidates: []Candidate{faulty(Candidate{Probe: Probe{Path: "/a"}}, errors.New("input/output error"))},
			want:       []answer{{Faulty, "input/output error"}},
		},
		{
			name:       "a probe that failed for want of descriptors",
			candidates: []Candidate{faulty(empty("/a", unnamed, 2), unix.EMFILE)},
			want:       []answer{{Faulty, "too many open files"}},
		},
		{
			name:       "a foreign disk was unmounted",
			history:    remembering(entries{"/a": foreign(hdd)}, nil),
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{{Absent, "a foreign directory on ext4 hdd was here"}},
		},
		{
			name:       "foreign files were removed",
			history:    remembering(entries{"/a": foreign(hdd)}, nil),
			candidates: []Candidate{empty("/a", hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "a disk where something foreign was",
			history:    remembering(entries{"/a": foreign(root)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2)},
			want:       []answer{usable},
		},

		// What was exchanged.
		{
			name:       "a disk that this node has never used, where another one was",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, ssd, 2)},
			want:       []answer{{Exchanged, "it holds disk " + two + ", which this node has never used; before, disk " + one + " on ext4 hdd was here: mount that, or `hostdir disks accept /a`"}},
		},
		{
			name:       "a disk that this node has never used, accepted",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, ssd, 2)},
			given:      Override{Accept, "/a"},
			want:       []answer{usable},
		},
		{
			name:       "a disk that this node has never used, and an operator who wants a new one",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, ssd, 2)},
			given:      Override{Init, "/a"},
			want:       []answer{{Exchanged, two}},
		},
		{
			name:       "a disk that this node has never used, in place of a copy",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, ssd, 2)},
			want:       []answer{{Exchanged, two}},
		},
		{
			name:       "a known disk is back where another one was meanwhile",
			history:    remembering(entries{"/a": used(two, 0, ssd)}, map[string]int{one: 0}),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "two disks, swapped",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(two, 0, ssd)}, nil),
			candidates: []Candidate{holding("/a", two, 0, ssd, 2), holding("/b", one, 0, hdd, 2)},
			want:       []answer{usable, usable},
		},
		{
			name:       "a known disk at a path that is new",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", root, 1), holding("/b", one, 0, hdd, 2)},
			want:       []answer{{Absent, "is the disk mounted?"}, usable},
		},

		// Copies.
		{
			name:       "a disk and its clone",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 3)},
			want:       []answer{{Copied, "it holds disk " + one + ", and so does /b: one is a copy, and none is used"}, {Copied, "and so does /a"}},
			notes:      entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "a disk and its clone on a node that knows neither",
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 3)},
			want:       []answer{{Copied, "/b"}, {Copied, "/a"}},
			notes:      entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "three of a kind",
			candidates: []Candidate{holding("/a", one, 1, hdd, 2), holding("/b", one, 1, hdd, 3), holding("/c", one, 1, hdd, 4)},
			want:       []answer{{Copied, "/b and /c"}, {Copied, "/a and /c"}, {Copied, "/a and /b"}},
			notes:      entries{"/a": refusedCopy(one, 1, hdd), "/b": refusedCopy(one, 1, hdd), "/c": refusedCopy(one, 1, hdd)},
		},
		{
			name:       "a clone beside the disk that is in use",
			history:    remembering(entries{"/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 3), inUse(holding("/b", one, 0, hdd, 2))},
			want:       []answer{{Copied, "which is in use at /b; to use this one instead unmount that one, then `hostdir disks accept /a`"}, usable},
			notes:      entries{"/a": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "a copy of a higher generation beside the disk that is in use",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{inUse(holding("/a", one, 0, hdd, 2)), holding("/b", one, 3, hdd, 3)},
			want:       []answer{{Copied, "it is an older copy of disk " + one + ", generation 0; /b holds generation 3"}, usable},
			notes:      entries{"/a": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "two copies of a higher generation beside the disk that is in use",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{inUse(holding("/a", one, 0, hdd, 2)), holding("/b", one, 3, hdd, 3), holding("/c", one, 3, hdd, 4)},
			want:       []answer{{Copied, "older copy"}, {Copied, "/c"}, {Copied, "/b"}},
			notes:      entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 3, hdd), "/c": refusedCopy(one, 3, hdd)},
		},
		{
			name:       "an older copy that comes back alone",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd), "/b": used(one, 1, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2)},
			want:       []answer{{Copied, "generation 0, this node has used generation 1; mount that one, or `hostdir disks accept /a`"}},
		},
		{
			name:       "an older copy at a path that is new",
			history:    remembering(nil, map[string]int{one: 1}),
			candidates: []Candidate{holding("/c", one, 0, hdd, 2)},
			want:       []answer{{Copied, "an older copy"}},
		},
		{
			name:       "one of two copies, once the other is gone",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)}, map[string]int{one: 0}),
			candidates: []Candidate{empty("/a", root, 1), holding("/b", one, 0, hdd, 3)},
			want:       []answer{{Absent, "is the disk mounted?"}, {Copied, "it is one of several copies of disk " + one + "; `hostdir disks accept /b`"}},
		},
		{
			name:       "one of two copies, raised by an operator's word",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)}, map[string]int{one: 0}),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 1, hdd, 3)},
			given:      Override{Accept, "/b"},
			want:       []answer{{Copied, "/b holds generation 1"}, usable},
			notes:      entries{"/a": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "one of two copies, raised by an operator's word before a crash",
			history:    remembering(entries{"/b": refusedCopy(one, 0, hdd)}, map[string]int{one: 0}),
			candidates: []Candidate{holding("/b", one, 1, hdd, 3)},
			want:       []answer{usable},
		},
		{
			name:       "a copy that was refused, at another path",
			history:    remembering(entries{"/b": refusedCopy(one, 0, hdd)}, map[string]int{one: 0}),
			candidates: []Candidate{holding("/c", one, 0, hdd, 3)},
			want:       []answer{usable}, // or the original: nobody can say
		},
		{
			name:       "a copy on another filesystem",
			candidates: []Candidate{madeOn(hdd, holding("/a", one, 0, ssd, 2))},
			want:       []answer{{Copied, "it was made on another filesystem (ext4 hdd, now xfs ssd): the disk was copied or exchanged; `hostdir disks accept /a`"}},
			notes:      entries{"/a": foreign(ssd)},
		},
		{
			name:       "a copy on another filesystem where a disk was",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{madeOn(hdd, holding("/a", one, 0, ssd, 2))},
			want:       []answer{{Copied, "made on another filesystem"}},
		},
		{
			name:       "a copy on another filesystem beside the original",
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), madeOn(hdd, holding("/b", one, 9, ssd, 2))},
			want:       []answer{usable, {Copied, "made on another filesystem"}},
			notes:      entries{"/b": foreign(ssd)},
		},
		{
			name:       "a disk whose filesystem had no UUID that was known",
			candidates: []Candidate{madeOn(dir.Filesystem{Type: "ext4"}, holding("/a", one, 0, hdd, 2))},
			want:       []answer{usable},
		},

		// One directory at two paths.
		{
			name:       "a directory that is in use at one of two paths",
			history:    remembering(entries{"/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), inUse(holding("/b", one, 0, hdd, 2))},
			want:       []answer{{Copied, "it is the same directory as /b: a disk is used at one path alone"}, usable},
		},
		{
			name:       "a directory at two paths, one of which had another disk",
			history:    remembering(entries{"/a": used(two, 0, ssd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 2)},
			want:       []answer{{Exchanged, one}, usable},
		},
		{
			name:       "a directory at two paths, and an operator who speaks of the second",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 1, hdd, 2), holding("/b", one, 1, hdd, 2)},
			given:      Override{Accept, "/b"},
			want:       []answer{{Copied, "it is the same directory as /b"}, usable},
		},
		{
			name:       "an empty directory at two paths, and an operator who speaks of the second",
			candidates: []Candidate{empty("/a", hdd, 2), empty("/b", hdd, 2)},
			given:      Override{Init, "/b"},
			want:       []answer{{Copied, "it is the same directory as /b"}, usable},
		},
		{
			name:       "a disk in use, and a path to it that was looked at before it was one",
			candidates: []Candidate{empty("/a", hdd, 2), inUse(holding("/b", one, 0, hdd, 2))},
			want:       []answer{{Copied, "it is the same directory as /b: a disk is used at one path alone; take this one out of the pool's paths"}, usable},
		},
		{
			name:       "a disk, and a path to it that was looked at before it was one",
			candidates: []Candidate{empty("/a", hdd, 2), holding("/b", one, 0, hdd, 2)},
			want:       []answer{{Copied, "it is the same directory as /b"}, usable},
		},
		{
			name:       "a disk that is being made at the second of two paths",
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), approved(empty("/b", hdd, 2))},
			want:       []answer{{Copied, "it is the same directory as /b"}, usable},
		},
		{
			name:       "a disk that is being read at the second of two paths, and an operator who speaks of the first",
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), approved(holding("/b", one, 0, hdd, 2))},
			given:      Override{Accept, "/a"},
			want:       []answer{{Copied, "it is the same directory as /b"}, usable},
		},
		{
			name:       "a directory at two paths, approved at the one that had another disk",
			history:    remembering(entries{"/a": used(two, 0, ssd)}, nil),
			candidates: []Candidate{approved(holding("/a", one, 0, hdd, 2)), holding("/b", one, 0, hdd, 2)},
			want:       []answer{{Exchanged, one}, usable},
		},
		{
			name:       "a directory at two paths, and a clone",
			history:    remembering(entries{"/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), inUse(holding("/b", one, 0, hdd, 2)), holding("/c", one, 0, hdd, 3)},
			want:       []answer{{Copied, "the same directory as /b"}, usable, {Copied, "in use at /b"}},
			notes:      entries{"/c": refusedCopy(one, 0, hdd)},
		},
		{
			name:       "a directory at two paths, and a clone, none of them in use",
			history:    remembering(entries{"/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 2), holding("/c", one, 0, hdd, 3)},
			want:       []answer{{Copied, "and so does /c: one is a copy"}, {Copied, "and so does /c: one is a copy"}, {Copied, "and so does /a: one is a copy"}},
			notes:      entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 0, hdd), "/c": refusedCopy(one, 0, hdd)},
		},

		// Paths that do not answer.
		{
			name:       "a disk that was last seen at a path that does not answer",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{silent("/a"), holding("/b", one, 0, hdd, 3)},
			want:       []answer{{Pending, ""}, {Copied, "disk " + one + " was last seen at /a, which does not answer: this may be a copy; `hostdir disks accept /b`"}},
		},
		{
			name:       "a disk that was last seen at a path that does not answer, accepted",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{silent("/a"), holding("/b", one, 1, hdd, 3)},
			given:      Override{Accept, "/b"},
			want:       []answer{{Pending, ""}, usable},
		},
		{
			name:       "a disk that is in use while its former path does not answer",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{silent("/a"), inUse(holding("/b", one, 0, hdd, 3))},
			want:       []answer{{Pending, ""}, usable},
		},
		{
			name:       "the accepted copy of a disk that does not answer",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": used(one, 1, ssd)}, nil),
			candidates: []Candidate{silent("/a"), holding("/b", one, 1, ssd, 2)},
			want:       []answer{{Pending, ""}, usable},
		},
		{
			name:       "a copy that was refused, at a path that does not answer",
			history:    remembering(entries{"/a": used(one, 0, hdd), "/b": refusedCopy(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), silent("/b")},
			want:       []answer{{Copied, "last seen at /b, which does not answer"}, {Pending, ""}},
		},
		{
			name:       "other disks, while a path does not answer",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{silent("/a"), holding("/b", two, 0, ssd, 2), empty("/c", root, 1)},
			want:       []answer{{Pending, ""}, usable, usable},
		},
		{
			name:       "a path that does not answer and is not configured any more",
			history:    remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/b", one, 0, hdd, 3)},
			want:       []answer{usable},
		},

		// A history that cannot be read.
		{
			name:       "an empty directory, and what was there is not known",
			history:    unreadable(nil),
			candidates: []Candidate{empty("/a", root, 1)},
			want:       []answer{{Absent, "`hostdir disks init /a` makes a disk of it: the history is damaged"}},
		},
		{
			name:       "an empty directory, what was there is not known, and an operator's word",
			history:    unreadable(nil),
			candidates: []Candidate{empty("/a", root, 1), empty("/b", root, 2)},
			given:      Override{Init, "/a"},
			want:       []answer{usable, {Absent, "/b"}},
		},
		{
			name:       "a disk, and what was there is not known",
			history:    unreadable(nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2)},
			want:       []answer{usable},
		},
		{
			name:       "a disk that was emptied since the history became unreadable",
			history:    unreadable(entries{"/a": used(one, 0, hdd)}),
			candidates: []Candidate{empty("/a", hdd, 2)},
			want:       []answer{usable},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := test.history
			if h == nil {
				h = NewHistory("")
			}
			before := maps.Clone(h.content.Paths)
			decisions := Decide(h, test.candidates, test.given)
			for i, want := range test.want {
				path, err := test.candidates[i].Probe.Path, decisions[i].Err
				if ReasonOf(err) != want.reason || err != nil && !strings.Contains(err.Error(), want.says) {
					t.Errorf("%s: %q because %v; want %q, and that it says %q", path, ReasonOf(err), err, want.reason, want.says)
				}
			}
			if diff := cmp.Diff(before, h.content.Paths); diff != "" {
				t.Errorf("the decision alone has changed the history (-before +after):\n%s", diff)
			}
			h.Apply(test.candidates, decisions)
			maps.Copy(before, test.notes)
			if diff := cmp.Diff(before, h.content.Paths); diff != "" {
				t.Errorf("the history (-want +got):\n%s", diff)
			}
		})
	}
}

// unreadable is a history whose file says nothing; what is in memory is known.
func unreadable(seen entries) *History {
	h := remembering(seen, nil)
	h.Unreadable = errors.New("the history is damaged")
	return h
}

// TestDecideOneDirectory has one directory at two paths that nothing distinguishes:
// it is used at one of them.
func TestDecideOneDirectory(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b Candidate
	}{
		{"a disk", holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 2)},
		{"an empty directory", empty("/a", hdd, 2), empty("/b", hdd, 2)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, all := range [][]Candidate{{test.a, test.b}, {test.b, test.a}} {
				d := Decide(NewHistory(""), all, Override{})
				if d[0].Err != nil || ReasonOf(d[1].Err) != Copied || !strings.Contains(d[1].Err.Error(), "the same directory as "+all[0].Probe.Path) {
					t.Errorf("%s: %v, %s: %v; want the first to be used, and the second to name it", all[0].Probe.Path, d[0].Err, all[1].Probe.Path, d[1].Err)
				}
				if d[0].entry != nil || d[1].entry != nil {
					t.Error("a directory at two paths is noted as a copy")
				}
			}
		})
	}
}
