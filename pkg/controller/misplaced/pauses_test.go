package misplaced

import (
	"slices"
	"testing"
	"time"
)

// TestPausesGrow evicts a pod that always comes back, as soon as it may be.
func TestPausesGrow(t *testing.T) {
	now := time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)
	l := &loop{clock: func() time.Time { return now }}
	var got []time.Duration
	for range 9 {
		if wait := l.pause("claim"); wait > 0 {
			t.Fatalf("it has to wait for another %s", wait)
		}
		l.evicted("claim")
		if wait := l.pause("another"); wait > 0 {
			t.Errorf("another claim's pods have to wait for %s", wait)
		}
		wait := l.pause("claim")
		got = append(got, wait/time.Minute)
		now = now.Add(wait)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}; !slices.Equal(got, want) {
		t.Errorf("pauses are %v minutes, want %v", got, want)
	}
	now = now.Add(2*lastPause + time.Second)
	l.evicted("another")
	if _, ok := l.pauses["claim"]; ok || len(l.pauses) != 1 {
		t.Errorf("what is long over is remembered: %v", l.pauses)
	}
	now = now.Add(firstPause)
	l.evicted("claim")
	if wait := l.pause("claim"); wait != firstPause {
		t.Errorf("after a long time it waits for %s", wait)
	}
}
