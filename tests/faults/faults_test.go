package faults

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

var (
	long  = flag.Bool("long", false, "let each call fail in every way, not in one by turns, and kill before calls that only look, too")
	show  = flag.Bool("points", false, "list the points of each operation")
	point = flag.Int("point", nowhere, "try this point alone")
)

// TestMain says at the end how much was tried.
func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	fmt.Print(tried)
	os.Exit(status)
}

// errnos are the ways in which calls fail.
var errnos = []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EROFS, unix.EINTR}

// ways are the errors to try at a point: in the short mode one, by turns.
func ways(at int) []unix.Errno {
	if *long {
		return errnos
	}
	return []unix.Errno{errnos[at%len(errnos)]}
}

// looks matches points that change nothing: a crash before one is as good as a
// crash before the next point. The requests of ioctl(2) ask for the UUID of ext4,
// btrfs and any filesystem, and for a subvolume's ID.
var looks = regexp.MustCompile(`^(openat |ioctl (0x8008662c|0x8400941f|0x80111500|0xd0009412) )`)

// kills reports whether to kill the program at a point.
func kills(point string) bool { return *long || !looks.MatchString(point) }

// faults lets a point meet each fault that is to be tried.
func faults(t *testing.T, name string, at int, point string, kill func(t *testing.T) (disturbed bool), fail func(t *testing.T, errno unix.Errno) (disturbed bool)) {
	if !isWanted(at) {
		return
	}
	if kills(point) {
		try(t, fmt.Sprintf("%d_kill", at), point, kill)
		tried.count(name, at, true)
	}
	for _, errno := range ways(at) {
		try(t, fmt.Sprintf("%d_%s", at, unix.ErrnoName(errno)), point, func(t *testing.T) bool { return fail(t, errno) })
		tried.count(name, at, false)
	}
}

// place is where pools are made.
type place struct {
	// dir is on the filesystem to use; "" is any, without limits.
	dir string
	// limited says that volumes have limits there. What is purged is cleared
	// away by the filesystem when it comes to it.
	limited bool
}

// base makes the directory of a pool.
func (p place) base(t *testing.T) string {
	t.Helper()
	if p.dir == "" {
		return ""
	}
	base, err := os.MkdirTemp(p.dir, "pool-")
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// TestCalls lets each call of CSI, and each order of an operator, meet each fault.
func TestCalls(t *testing.T) {
	plugin.RequireRoot(t)
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) { op.meetFaults(t, place{}) })
	}
}

// TestLimited is TestCalls on a filesystem that can limit volumes.
func TestLimited(t *testing.T) {
	plugin.RequireRoot(t)
	p := place{dir: disk.MountLimited(t, 256*mebibyte), limited: true}
	for _, op := range operations {
		if op.limits {
			t.Run(op.name, func(t *testing.T) { op.meetFaults(t, p) })
		}
	}
	t.Run("the_end", p.wantCleared)
}

// TestShared is TestCalls for the one point that is another where files share their blocks
// with a copy: in every way in which that fails.
func TestShared(t *testing.T) {
	plugin.RequireRoot(t)
	p := place{dir: disk.Mount(t, "xfs", 512*mebibyte)}
	for _, op := range snapshots {
		t.Run(op.name, func(t *testing.T) {
			r := rehearsed(t, func(t *testing.T) rehearsal { return op.rehearse(t, p) })
			for at, point := range r.points {
				if !strings.HasPrefix(point, fmt.Sprintf("ioctl %#x ", unix.FICLONE)) {
					continue
				}
				try(t, fmt.Sprintf("%d_kill", at), point, func(t *testing.T) bool { return op.kill(t, p, r, at) })
				for _, errno := range append(errnos, unix.EDQUOT) {
					try(t, fmt.Sprintf("%d_%s", at, unix.ErrnoName(errno)), point, func(t *testing.T) bool { return op.fail(t, p, r, at, errno) })
				}
			}
		})
	}
}

// meetFaults kills the program at each point of an operation, and lets each point
// fail.
func (op operation) meetFaults(t *testing.T, p place) {
	r := rehearsed(t, func(t *testing.T) rehearsal { return op.rehearse(t, p) })
	name := op.name
	if p.limited {
		name += " with limits"
	}
	for at, point := range r.points {
		faults(t, name, at, point,
			func(t *testing.T) bool { return op.kill(t, p, r, at) },
			func(t *testing.T, errno unix.Errno) bool { return op.fail(t, p, r, at, errno) })
	}
}

// isWanted reports whether a point is to be tried.
func isWanted(at int) bool { return *point == nowhere || *point == at }

// try runs a test until it was not disturbed; do reports whether it was.
func try(t *testing.T, name, point string, do func(t *testing.T) (disturbed bool)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the fault was at: %s", point)
			}
		})
		for range 10 {
			if !do(t) {
				return
			}
		}
		t.Error("the program does something else each time: the test proves nothing")
	})
}
