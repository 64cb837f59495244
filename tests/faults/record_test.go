package faults

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/faults/intercept"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRecordUnreadable lets the record of one volume be unreadable for a moment,
// when its disk is taken into use. That volume is put into quarantine, the disk is
// used all the same, and the volume comes back by itself.
func TestRecordUnreadable(t *testing.T) {
	plugin.RequireRoot(t)
	s := layOut(t, place{})
	s.run(t)
	prepareOther(t, s)
	s.Signal(t, syscall.SIGTERM)

	s.tap.arm(nowhere, intercept.Verdict{})
	s.run(t)
	const read = "openat2 pool/volumes/pvc-other/volume.json"
	at := slices.Index(ofTakingUp(s.tap.disarm()), read)
	if at < 0 {
		t.Fatal("the record is not read at the start")
	}
	s.Signal(t, syscall.SIGTERM)

	s.tap.arm(at, intercept.Fail(unix.EIO))
	s.run(t)
	if points := s.tap.disarm(); points[at] != read {
		t.Fatalf("%s met the fault", points[at])
	}
	quarantined := func() bool {
		all, err := s.operator().Volumes(t.Context())
		if err != nil || len(all.Volumes) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all.Volumes[0].Quarantine != ""
	}
	for deadline := time.Now().Add(time.Minute); quarantined(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the volume is still in quarantine")
		}
	}
	s.Signal(t, syscall.SIGTERM)
	if !strings.Contains(s.Log(), "volume in quarantine") { // which the first count may have ended
		t.Error("the volume was never in quarantine")
	}
}
