package faults

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/faults/intercept"
)

var (
	long  = flag.Bool("long", false, "let each call fail in every way, not in two by turns")
	show  = flag.Bool("points", false, "list the points of each operation")
	point = flag.Int("point", nowhere, "try this point alone")
)

// errnos are the ways in which calls fail.
var errnos = []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EROFS, unix.EINTR}

// rehearsal is what an operation does, and leaves, without a fault.
type rehearsal struct {
	points []string
	before state
	after  state
}

// ready prepares a pool for an operation that is a call.
func (op operation) ready(t *testing.T, base string) *server {
	t.Helper()
	s := layOut(t, base)
	s.run(t)
	prepareOther(t, s)
	op.prepare(t, s)
	s.tap.quiet()
	return s
}

// rehearse runs the operation without a fault, in a test of its own that leaves
// no program behind.
func (op operation) rehearse(t *testing.T, number int) (r rehearsal) {
	t.Helper()
	if !t.Run(fmt.Sprintf("rehearsal_%d", number), func(t *testing.T) { r = op.rehearseOnce(t) }) {
		t.FailNow()
	}
	return r
}

func (op operation) rehearseOnce(t *testing.T) (r rehearsal) {
	t.Helper()
	s := op.ready(t, "")
	r.before = s.state(t)
	s.tap.arm(nowhere, intercept.Verdict{}, "")
	if err := op.call(t, s); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	s.waitPurged(t)
	s.tap.quiet()
	r.points = s.tap.disarm()
	r.after = s.state(t)
	s.tap.complain(t)
	return r
}

// rehearsed rehearses until two runs agree: the program's background work may
// have got into the first.
func (op operation) rehearsed(t *testing.T) rehearsal {
	t.Helper()
	before := op.rehearse(t, 0)
	for number := 1; ; number++ {
		now := op.rehearse(t, number)
		if slices.Equal(before.points, now.points) {
			if *show {
				t.Logf("%s has %d points:\n%s", op.name, len(now.points), list(now.points))
			}
			return now
		}
		before = now
	}
}

// numbers are those of the points to try.
func (r rehearsal) numbers() []int {
	var all []int
	for i := range r.points {
		if *point == nowhere || *point == i {
			all = append(all, i)
		}
	}
	return all
}

// disturbed tells that the points up to the fault were not those of the
// rehearsal: background work got between, and the fault met another call.
func (r rehearsal) disturbed(points []string, at int) bool {
	return len(points) <= at || !slices.Equal(points[:at+1], r.points[:at+1])
}

// TestKill kills the program at each point of each call.
func TestKill(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			r := op.rehearsed(t)
			for _, at := range r.numbers() {
				try(t, fmt.Sprint(at), r.points[at], func(t *testing.T) bool { return op.kill(t, r, at) })
			}
			t.Logf("killed at %d points", len(r.numbers()))
		})
	}
}

// try runs a test until it was not disturbed. do tells whether it was.
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

func (op operation) kill(t *testing.T, r rehearsal, at int) (disturbed bool) {
	s := op.ready(t, "")
	s.tap.arm(at, intercept.Kill, "")
	err := op.call(t, s)
	s.waitHit()
	points := s.tap.disarm()
	if r.disturbed(points, at) {
		return true
	}
	s.WaitKilled(t)
	if code := status.Code(err); err != nil && code != codes.Unavailable {
		t.Errorf("a call whose server is killed ends with %v", err)
	}
	s.tap.arm(nowhere, intercept.Verdict{}, "")
	s.run(t)
	s.waitPurged(t)
	if now := s.state(t); op.atomic {
		if toBefore, toAfter := differs(r.before, now), differs(r.after, now); toBefore != "" && toAfter != "" {
			t.Errorf("after a crash and a start the call is half done; against before it (-want +got):\n%s\nagainst after it:\n%s", toBefore, toAfter)
		}
	}
	if err := op.call(t, s); err != nil {
		t.Errorf("the retry after a crash: %v", err)
	}
	s.wantDone(t, r)
	wantSynced(t, r.points[at:], s.tap.disarm())
	return false
}

// wantSynced checks that what was not synced has been since: OK says that the
// volume, or its end, survives a power cut.
func wantSynced(t *testing.T, missed, since []string) {
	t.Helper()
	for _, point := range missed {
		if strings.HasPrefix(point, "fsync ") && !slices.Contains(since, point) {
			t.Errorf("the call is answered OK now, but nothing has made up for this: %s", point)
		}
	}
}

// waitHit waits until the fault has happened, or nothing happens any more.
func (s *server) waitHit() {
	if !s.tap.isHit() {
		s.tap.quiet()
	}
}

// wantDone checks that all is as after a call that met no fault.
func (s *server) wantDone(t *testing.T, r rehearsal) {
	t.Helper()
	s.waitPurged(t)
	if diff := differs(r.after, s.state(t)); diff != "" {
		t.Errorf("the call has not left what it should (-want +got):\n%s", diff)
	}
	s.tap.complain(t)
}

// TestFail lets each point of each call fail.
func TestFail(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			r := op.rehearsed(t)
			tried := 0
			for _, at := range r.numbers() {
				for _, errno := range ways(at) {
					name := fmt.Sprintf("%d_%s", at, unix.ErrnoName(errno))
					try(t, name, r.points[at], func(t *testing.T) bool { return op.fail(t, r, at, errno) })
					tried++
				}
			}
			t.Logf("%d failures of %d points", tried, len(r.numbers()))
		})
	}
}

// ways are the errors to try at a point: in the short mode two, in turns.
func ways(at int) []unix.Errno {
	if *long {
		return errnos
	}
	return []unix.Errno{errnos[at%len(errnos)], errnos[(at+2)%len(errnos)]}
}

func (op operation) fail(t *testing.T, r rehearsal, at int, errno unix.Errno) (disturbed bool) {
	s := op.ready(t, "")
	s.tap.arm(at, intercept.Fail(errno), "")
	err := op.call(t, s)
	s.waitHit()
	s.tap.quiet()
	points := s.tap.disarm()
	if r.disturbed(points, at) {
		return true
	}
	op.wantAnswer(t, err, errno)
	if err != nil && op.undoes && status.Code(err) != codes.Aborted {
		if diff := differs(r.before.without("pool/trash/"), s.state(t).without("pool/trash/")); diff != "" {
			t.Errorf("the call failed, and has left something behind (-want +got): %v\n%s", err, diff)
		}
	}
	s.tap.arm(nowhere, intercept.Verdict{}, "")
	if err := op.call(t, s); err != nil {
		t.Errorf("the retry: %v", err)
	}
	s.tap.quiet()
	// What nobody waits for may take until the next start: links for people, and
	// the rest of the trash.
	soft := []string{"pool/claims", "pool/trash/"}
	if diff := differs(r.after.without(soft...), s.state(t).without(soft...)); diff != "" {
		t.Errorf("the retry has not left what it should (-want +got):\n%s", diff)
	}
	if differs(r.after, s.state(t)) != "" {
		s.restart(t)
	}
	s.wantDone(t, r)
	wantSynced(t, r.points[at:at+1], s.tap.disarm())
	return false
}
