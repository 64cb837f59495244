package faultmatrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestClockAhead boots with a clock that is a year ahead: all of the trash looks as
// if its time had come. Nothing is purged as long as that is in doubt, also after
// another restart.
func TestClockAhead(t *testing.T) {
	s := layout(t, "")
	s.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 24h}]", s.Base))
	s.run(t)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, s.create(t, "pvc-1")), codes.OK)
	s.stop(t)
	dateBack(t, s.Base, 30*24*time.Hour)
	ranLast(t, s.Plugin, time.Now().AddDate(-1, 0, 0))

	for range 2 {
		s.run(t)
		for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(100 * time.Millisecond) {
			if left := s.trash(t); len(left) != 1 || left[0].Name != "pvc-1" {
				t.Fatalf("the trash holds %+v", left)
			}
		}
		s.stop(t)
	}
	if n := strings.Count(s.Log(), "clock is far ahead"); n != 2 {
		t.Errorf("two starts say %d times that the clock is far ahead", n)
	}

	ranLast(t, s.Plugin, time.Now().Add(-time.Hour))
	s.run(t)
	s.waitPurged(t)
}

// dateBack makes the one entry of the trash so much older.
func dateBack(t *testing.T, base string, by time.Duration) {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(base, "trash", "*"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("the trash holds %q: %v", entries, err)
	}
	parts := strings.Split(filepath.Base(entries[0]), ".")
	parts[1] = time.Now().Add(-by).UTC().Format("20060102T150405Z")
	if err := os.Rename(entries[0], filepath.Join(base, "trash", strings.Join(parts, "."))); err != nil {
		t.Fatal(err)
	}
}

// ranLast changes when the plugin ran last, as it has noted that itself.
func ranLast(t *testing.T, p *plugin.Plugin, then time.Time) {
	t.Helper()
	date(t, filepath.Join(filepath.Dir(p.Socket), "disks.json"), "lastRun", then)
}
