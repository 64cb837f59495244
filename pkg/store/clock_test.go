package store

import (
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
)

// TestClock shows the clock of a node that runs for some days.
func TestClock(t *testing.T) {
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	type sight struct {
		uptime time.Duration
		ahead  time.Duration // of what the time is
		want   bool
	}
	for _, test := range []struct {
		name string
		seen []sight
	}{
		{"a clock that is right", []sight{{time.Second, 0, true}, {time.Hour, 0, true}, {72 * time.Hour, 0, true}}},
		{"one that NTP corrects a little", []sight{{time.Hour, 30 * time.Minute, true}, {2 * time.Hour, -20 * time.Minute, true}}},
		{"a process that was stopped for days", []sight{{time.Hour, 0, true}, {73 * time.Hour, 0, true}}},
		{"a jump ahead that stays", []sight{
			{time.Hour, 0, true}, {2 * time.Hour, 8760 * time.Hour, false}, {20 * time.Hour, 8760 * time.Hour, false},
			{26*time.Hour + time.Minute, 8760 * time.Hour, true},
		}},
		{"a jump ahead that is put right", []sight{
			{time.Hour, 8760 * time.Hour, false}, {2 * time.Hour, 0, true}, {3 * time.Hour, 0, true},
		}},
		{"a second jump begins the day anew", []sight{
			{time.Hour, 24 * time.Hour, false}, {20 * time.Hour, 48 * time.Hour, false}, {30 * time.Hour, 48 * time.Hour, false},
			{45 * time.Hour, 48 * time.Hour, true},
		}},
		{"a clock that is put back", []sight{{time.Hour, -8760 * time.Hour, true}, {2 * time.Hour, -8760 * time.Hour, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := clock{wall: noon}
			for _, at := range test.seen {
				c.see(t.Context(), noon.Add(at.uptime+at.ahead), at.uptime)
				if c.trusted() != at.want {
					t.Errorf("after %s, with the clock %s ahead, it is trusted: %t", at.uptime, at.ahead, !at.want)
				}
			}
		})
	}
}

// TestClockAtStart compares the clock with when hostdir ran last.
func TestClockAtStart(t *testing.T) {
	for name, test := range map[string]struct {
		away time.Duration
		want bool
	}{
		"an upgrade":                       {time.Minute, true},
		"a night":                          {12 * time.Hour, true},
		"a week, or a clock a week ahead":  {7 * 24 * time.Hour, false},
		"a clock that was ahead last time": {-7 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			c.start(t.Context(), time.Now().Add(-test.away))
			if c.trusted() != test.want {
				t.Errorf("the clock is trusted: %t", !test.want)
			}
		})
	}
	var c clock
	if c.start(t.Context(), time.Time{}); !c.trusted() {
		t.Error("the clock of a first start is not trusted")
	}
}

// TestClockAhead boots a node a year ahead: what was to be kept for a while stays,
// however often hostdir starts, until the clock has been so for a day or is right.
// What was to go at once goes.
func TestClockAhead(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 24h")
	s.remember(t.Context()) // as of now
	mustDelete(t, s, mustCreate(t, s, request("pvc-kept")).ID)
	req := request("pvc-not-kept")
	var err error
	if req.Class, err = config.ParseClass(map[string]string{"trashTTL": "0s"}); err != nil {
		t.Fatal(err)
	}
	mustDelete(t, s, mustCreate(t, s, req).ID)

	// The other way round: all that was written down is a year older.
	year := 365 * 24 * time.Hour
	age(t, base, year)
	s.history.SetLastRun(time.Now().Add(-year))
	s.history.Save()
	for range 3 {
		s = reopen(t, s)
		s.purgeAll(t.Context())
		wantTrash(t, s, "pvc-kept")
		s.remember(t.Context())
	}
	s.clock.mu.Lock()
	s.clock.see(t.Context(), time.Now().Add(-year), s.clock.uptime) // put right
	s.clock.mu.Unlock()
	if !s.clock.trusted() {
		t.Error("a clock that was put right is not trusted")
	}
	s.purgeAll(t.Context()) // the age in the name is a year in truth
	wantTrash(t, s)
}
