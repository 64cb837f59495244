package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// TestTwin makes a volume, loses sight of its disk, and makes it again. While the
// process lasts it knows better; after a restart it cannot, and a check finds both
// once the disk is back.
func TestTwin(t *testing.T) {
	parent := t.TempDir()
	a, b := filepath.Join(parent, "a"), filepath.Join(parent, "b")
	mkdirAll(t, a)
	mkdirAll(t, b)
	s := openStore(t, onePool(a, b))
	v := mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(a, volumesDir), "pvc-1")
	move(t, parent, "a", "a.away")
	s.refresh(t.Context())
	_, err := s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrUnavailable)
	wantNames(t, filepath.Join(b, volumesDir))

	s = reopen(t, s)
	twin := mustCreate(t, s, request("pvc-1"))
	if twin.ID == v.ID {
		t.Errorf("two volumes have the ID %s", v.ID)
	}
	wantFindings(t, parent, mustCheck(t, s, nothingMounted).Findings, "DiskUnusable a")
	move(t, parent, "a.away", "a")
	s.refresh(t.Context())
	wantFindings(t, parent, mustCheck(t, s, nothingMounted).Findings, "TwinVolume a/volumes/pvc-1", "TwinVolume b/volumes/pvc-1")

	mustDelete(t, s, twin.ID)
	wantFindings(t, parent, mustCheck(t, s, nothingMounted).Findings)
	if again := mustCreate(t, s, request("pvc-1")); again.ID != v.ID {
		t.Errorf("the same request returns %s, it made %s", again.ID, v.ID)
	}
}

// TestGlobForgetsNothing takes away what a glob has found: the disk is absent, not
// unknown, also after a restart.
func TestGlobForgetsNothing(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{"nvme0", "nvme1", "lost+found"} {
		mkdirAll(t, filepath.Join(parent, name))
	}
	s := openStore(t, onePool(filepath.Join(parent, "*")))
	v := mustCreate(t, s, request("pvc-1"))
	if filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(v.Path)))) != "nvme0" {
		t.Fatalf("the volume is at %s", v.Path)
	}
	wantAbsent := func() {
		t.Helper()
		status := s.Status()
		reasons := map[string]string{}
		for _, disk := range status {
			reasons[filepath.Base(disk.Path)] = string(disk.Reason)
		}
		if len(status) != 2 || reasons["nvme0"] != string(Absent) || reasons["nvme1"] != "" {
			t.Errorf("disks %+v", reasons)
		}
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrUnavailable)
		if problems := s.Problems(); len(problems) != 1 {
			t.Errorf("problems %+v, want that a disk is absent", problems)
		}
	}
	move(t, parent, "nvme0", "away")
	if err := os.Rename(filepath.Join(parent, "away"), parent+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent + ".away") })
	s.refresh(t.Context())
	wantAbsent()
	_, err := s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrUnavailable) // and no twin of it
	s = reopen(t, s)
	wantAbsent()
	if err := os.Rename(parent+".away", filepath.Join(parent, "nvme0")); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	mustDelete(t, s, v.ID)
}
