package faults

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/faults/intercept"
)

// kill kills the program at a point, starts it again and sends the call again.
func (op operation) kill(t *testing.T, p place, r rehearsal, at int) (disturbed bool) {
	s := op.ready(t, p)
	s.tap.arm(at, intercept.Kill)
	err := op.call(t, s)
	s.waitHit()
	points := s.tap.disarm()
	if len(points) > at {
		s.WaitKilled(t)
	}
	if r.disturbed(points, at) {
		s.Signal(t, syscall.SIGKILL)
		return true
	}
	if code := status.Code(err); err != nil && code != codes.Unavailable && code != codes.Unknown {
		t.Errorf("a call whose server is killed ends with %v", err)
	}
	s.tap.arm(nowhere, intercept.Verdict{})
	s.run(t)
	s.waitPurged(t)
	if now := s.state(t); op.atomic {
		if toBefore, toAfter := differs(r.before, now), differs(r.after, now); toBefore != "" && toAfter != "" {
			t.Errorf("after a crash and a start the call is half done; against before it (-want +got):\n%s\nagainst after it:\n%s", toBefore, toAfter)
		}
	}
	if op.retry(t, s) {
		defer func() { wantSynced(t, r.points[at:], s.tap.disarm()) }()
	}
	s.wantDone(t, r)
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

// retry sends the call again, and tells whether it did.
func (op operation) retry(t *testing.T, s *server) bool {
	t.Helper()
	if op.once != nil && op.once(s) {
		return false
	}
	if err := op.call(t, s); err != nil {
		t.Errorf("the retry: %v", err)
	}
	return true
}

// waitHit waits until the fault has happened. Only where something disturbs the
// program's work it may never happen.
func (s *server) waitHit() {
	for deadline := time.Now().Add(3 * time.Second); !s.tap.isHit() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
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
