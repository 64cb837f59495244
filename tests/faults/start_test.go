package faults

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/faults/intercept"
	"github.com/hostdir/hostdir/tests/plugin"
)

// start is what the program does before it serves, on what it finds.
type start struct {
	name string
	// prepare makes what it finds. The program does not run afterwards.
	prepare func(t *testing.T, s *server)
	// lasts says that volumes rely on what the start has done, so that it has to
	// be synced. What is only cleared away can be cleared away again.
	lasts bool
}

var starts = []start{
	{"first_start", func(*testing.T, *server) {}, true},
	{"start_on_remains", prepareRemains, false},
}

// prepareRemains makes what crashes leave: a volume half built, one whose claim has
// no link yet, the link of one that is gone, and half a record.
func prepareRemains(t *testing.T, s *server) {
	t.Helper()
	s.run(t)
	prepareOther(t, s)
	prepareFirst(t, s)
	s.Signal(t, syscall.SIGKILL)
	volumes, claims := filepath.Join(s.Base, "volumes"), filepath.Join(s.Base, "claims")
	if err := errors.Join(
		os.Rename(filepath.Join(volumes, "pvc-1"), filepath.Join(volumes, ".new-pvc-1")),
		os.Rename(filepath.Join(claims, "of-pvc-other", "claim"), filepath.Join(claims, "of-pvc-other", ".new")),
	); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(volumes, "pvc-other", ".volume.json.new"), "{")
}

// ofTakingUp returns the points up to the disk's being in use. Its directory is
// opened for a look, and to take it into use. Whoever opens it next works in the
// background, side by side with others, in no order.
func ofTakingUp(points []string) []string {
	opened := 0
	for i, point := range points {
		if point == "openat pool" {
			if opened++; opened > 2 {
				return points[:i]
			}
		}
	}
	return points
}

// TestStart lets starts meet each fault.
func TestStart(t *testing.T) {
	plugin.RequireRoot(t)
	for _, st := range starts {
		t.Run(st.name, func(t *testing.T) {
			r := rehearsed(t, st.rehearse)
			for at, point := range r.points {
				faults(t, st.name, at, point,
					func(t *testing.T) bool { return st.kill(t, r, at) },
					func(t *testing.T, errno unix.Errno) bool { return st.fail(t, r, at, errno) })
			}
		})
	}
}

func (st start) ready(t *testing.T) *server {
	t.Helper()
	s := layOut(t, place{})
	st.prepare(t, s)
	return s
}

func (st start) rehearse(t *testing.T) (r rehearsal) {
	t.Helper()
	s := st.ready(t)
	s.tap.arm(nowhere, intercept.Verdict{})
	s.run(t)
	r.points = ofTakingUp(s.tap.disarm())
	s.waitPurged(t)
	r.after = s.state(t)
	s.tap.complain(t)
	return r
}

// kill kills the program at a point and starts it again.
func (st start) kill(t *testing.T, r rehearsal, at int) (disturbed bool) {
	s := st.ready(t)
	s.tap.arm(at, intercept.Kill)
	s.Launch(t)
	s.waitHit()
	points := s.tap.disarm()
	if len(points) > at {
		s.WaitKilled(t)
	}
	if r.disturbed(points, at) {
		s.Signal(t, syscall.SIGKILL)
		return true
	}
	s.tap.arm(nowhere, intercept.Verdict{})
	s.run(t)
	s.wantDone(t, r)
	if later := s.tap.disarm(); st.lasts {
		wantSynced(t, r.points[at:], later)
	}
	return false
}

// fail lets a point fail. The program serves all the same, and what it could not
// do is done by the next start, or by the program itself when it looks at its
// disks again.
func (st start) fail(t *testing.T, r rehearsal, at int, errno unix.Errno) (disturbed bool) {
	s := st.ready(t)
	s.tap.arm(at, intercept.Fail(errno))
	s.run(t)
	points := s.tap.disarm()
	if r.disturbed(points, at) {
		s.Signal(t, syscall.SIGKILL)
		return true
	}
	s.tap.arm(nowhere, intercept.Verdict{})
	if *long && errno == unix.EIO && st.lasts {
		s.waitReady(t)
	} else {
		s.restart(t)
	}
	s.wantDone(t, r)
	if later := s.tap.disarm(); st.lasts {
		wantSynced(t, r.points[at:at+1], slices.Concat(points[at+1:], later))
	}
	return false
}

// waitReady waits until the pool can be used.
func (s *server) waitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		pools, err := s.operator().Disks(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b := pools.Disks[0]; b.State == admin.Ready {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the pool is not mended by itself: %s", b.Message)
		}
	}
	// Links, and the rest of what is half built, wait for the next start.
	s.restart(t)
}
