package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// TestRestoreLeftAtCommit has the disk stop answering while a restored volume is
// committed. Its caller leaves at once; its name stays locked until it is over, for a
// second restore would build under the same name what the first commits.
func TestRestoreLeftAtCommit(t *testing.T) {
	s, base := newStore(t)
	d := only(t, s)
	v := mustCreate(t, s, request("pvc-1"))
	writeFile(t, filepath.Join(v.Path, "file"), "data")
	req := request("pvc-2")
	req.Source = v.ID
	d.links.Lock() // which the commit takes
	answers := make(chan func(), 1)
	go func() {
		for { // until it is there
			if _, err := os.Lstat(filepath.Join(base, volumesDir, "pvc-2")); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		answers <- hang(t, d)
	}()
	for range 2 {
		began := time.Now()
		_, err := s.Create(t.Context(), req)
		wantClass(t, err, errdefs.ErrUnavailable)
		if took := time.Since(began); took > jobPatience/2 {
			t.Errorf("the caller was kept for %s", took)
		}
	}
	time.Sleep(2 * waitPoll) // for whoever would leave the commit behind
	_, err := s.locks.lock("pvc-2")
	wantClass(t, err, errdefs.ErrBusy)
	(<-answers)()
	d.links.Unlock()
	awaitIdle(t, d)
	restored := mustCreate(t, s, req)
	if content, err := os.ReadFile(filepath.Join(restored.Path, "file")); err != nil || string(content) != "data" {
		t.Errorf("the copy holds %q: %v", content, err)
	}
	wantNames(t, filepath.Join(base, volumesDir), "pvc-1", "pvc-2")
}

// TestSnapshotOfSilentDisk has the disk stop answering while a snapshot is made: nobody is
// kept, neither who asks for it nor who deletes it.
func TestSnapshotOfSilentDisk(t *testing.T) {
	s, base := newStore(t)
	d := only(t, s)
	v := mustCreate(t, s, request("pvc-1"))
	at := newHeld()
	go func() {
		<-at.reached
		hang(t, d)
	}()
	silent := func(*os.File) error { at.wait(); return nil }
	began := time.Now()
	_, err := s.CreateSnapshot(t.Context(), snapshotOf(v, "snapshot-1"), silent)
	wantClass(t, err, errdefs.ErrUnavailable)
	_, err = s.CreateSnapshot(t.Context(), snapshotOf(v, "snapshot-1"), silent)
	wantClass(t, err, errdefs.ErrUnavailable)
	id := d.snapshotID("snapshot-1").String()
	wantClass(t, s.DeleteSnapshot(t.Context(), id), errdefs.ErrUnavailable)
	if took := time.Since(began); took > jobPatience/2 {
		t.Errorf("the callers were kept for %s", took)
	}
	close(at.released)
	<-s.jobs.find(snapshotLock("snapshot-1")).done
	wantNames(t, filepath.Join(base, pkgdisk.SnapshotsDir))
}

// TestCloneOverLimit clones a volume that holds more than its capacity, which nothing
// enforces, to one that is held to that.
func TestCloneOverLimit(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		w := &snapshotWorld{T: t, s: openStore(t, onePool(base)), base: base, limited: true}
		req := limitedRequest("pvc-1")
		req.Class.Quota = config.QuotaOff
		v := mustCreate(t, w.s, req)
		writeFile(t, v.Path+"/file", "")
		if only(t, w.s).filesystem == btrfsType { // which does not hold what is shared to a limit
			if out, err := exec.Command("chattr", "+C", v.Path+"/file").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		writeFile(t, v.Path+"/file", strings.Repeat("0123456789abcdef", 2*limited/16))
		clone := w.from(v.ID, "pvc-2", limited)
		clone.Class.Quota = config.QuotaRequired
		_, err := w.s.Create(t.Context(), clone)
		for errors.Is(err, errdefs.ErrBusy) { // it is copied
			_, err = w.s.Create(t.Context(), clone)
		}
		wantClass(t, err, errdefs.ErrOutOfRange)
		if errors.Is(err, errdefs.ErrNoSpace) {
			t.Errorf("the disk has room: %v", err)
		}
		wantNames(t, base+"/"+volumesDir, "pvc-1")

		clone.RequiredBytes = 4 * limited
		w.same(v.Path, mustCreate(t, w.s, clone).Path)
		w.wantWell()
	})
}
