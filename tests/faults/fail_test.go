package faults

import (
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/faults/intercept"
)

// fail lets a point fail, and sends the call again.
func (op operation) fail(t *testing.T, p place, r rehearsal, at int, errno unix.Errno) (disturbed bool) {
	s := op.ready(t, p)
	s.tap.arm(at, intercept.Fail(errno))
	err := op.call(t, s)
	s.waitHit()
	s.tap.quiet()
	points := s.tap.disarm()
	if r.disturbed(points, at) {
		s.Signal(t, syscall.SIGKILL)
		return true
	}
	op.wantAnswer(t, err, errno)
	if err != nil && op.undoes && status.Code(err) != codes.Aborted {
		if diff := differs(r.before.without("pool/trash/"), s.state(t).without("pool/trash/")); diff != "" {
			t.Errorf("the call failed, and has left something behind (-want +got): %v\n%s", err, diff)
		}
	}
	s.tap.arm(nowhere, intercept.Verdict{})
	if op.retry(t, s) {
		defer func() { wantSynced(t, r.points[at:at+1], slices.Concat(points[at+1:], s.tap.disarm())) }()
	}
	s.tap.quiet()
	// What nobody waits for may take until the next start: links for people, and
	// the rest of the trash. That is where it went wrong if the answer was OK.
	soft := []string{"pool/claims", "pool/trash/"}
	if diff := differs(r.after.without(soft...), s.state(t).without(soft...)); diff != "" {
		t.Errorf("the retry has not left what it should (-want +got):\n%s", diff)
	}
	if err == nil || differs(r.after, s.state(t)) != "" {
		s.restart(t)
	}
	s.wantDone(t, r)
	return false
}
