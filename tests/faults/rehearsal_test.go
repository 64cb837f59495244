package faults

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hostdir/hostdir/tests/faults/intercept"
)

// rehearsal is what an operation does, and leaves, without a fault.
type rehearsal struct {
	points        []string
	before, after state
}

// rehearsed rehearses until two runs agree: the program's background work may
// have got into the first.
func rehearsed(t *testing.T, rehearse func(t *testing.T) rehearsal) rehearsal {
	t.Helper()
	var before rehearsal
	for number := range 10 {
		var now rehearsal
		// In a test of its own, that leaves no program behind.
		if !t.Run(fmt.Sprintf("rehearsal_%d", number), func(t *testing.T) { now = rehearse(t) }) {
			t.FailNow()
		}
		if number > 0 && slices.Equal(before.points, now.points) {
			if *show {
				t.Logf("%d points:\n%s", len(now.points), list(now.points))
			}
			return now
		}
		before = now
	}
	t.Fatalf("no two runs do the same; the last one did:\n%s", list(before.points))
	return rehearsal{}
}

func (op operation) rehearse(t *testing.T, p place) (r rehearsal) {
	t.Helper()
	s := op.ready(t, p)
	r.before = s.state(t)
	s.tap.arm(nowhere, intercept.Verdict{})
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

// ready prepares a pool for an operation that is a call.
func (op operation) ready(t *testing.T, p place) *server {
	t.Helper()
	s := layOut(t, p)
	s.run(t)
	prepareOther(t, s)
	op.prepare(t, s)
	s.tap.quiet()
	return s
}

// disturbed tells that the points up to the fault were not those of the
// rehearsal: background work got between, and the fault met another call.
func (r rehearsal) disturbed(points []string, at int) bool {
	return len(points) <= at || !slices.Equal(points[:at+1], r.points[:at+1])
}
