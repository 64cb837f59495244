package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// TestRefusedDirectory has a file in the way of a disk: it is left alone, and has
// no room.
func TestRefusedDirectory(t *testing.T) {
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "precious"), "")
	before := filesOf(t, base)
	s := openStore(t, onePool(base))
	if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), `"precious"`) {
		t.Errorf("error %v, want one that names the file", err)
	}
	_, err := s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrNoSpace)
	if c := s.Capacity(config.Class{Pool: config.DefaultPool}); c != (Capacity{}) {
		t.Errorf("capacity %+v, want none", c)
	}
	if after := filesOf(t, base); after != before {
		t.Errorf("the refused directory was %q, and is %q", before, after)
	}
}

// filesOf lists all paths below a directory.
func filesOf(t *testing.T, base string) string {
	t.Helper()
	out, err := exec.Command("find", base, "-printf", "%P %y %m %s\n").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such file") {
		t.Fatalf("find: %v\n%s", err, out)
	}
	return string(out)
}

func TestMarkerDamaged(t *testing.T) {
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "cannot be read"},
		{"cut off", `{"version": 1, "uu`, "cannot be read"},
		{"of another type of filesystem", `{"version": 1, "uuid": "5f4ae8a2-7b1d-4d3a-9a51-2a5d1f0f3b11", "filesystem": {"type": "zfs"}}`, "another filesystem (zfs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, base := newStore(t)
			v := mustCreate(t, s, request("pvc-1"))
			writeFile(t, filepath.Join(base, markerFile), test.content)
			before := filesOf(t, base)
			wantUnusable(t, s, v.ID) // at once
			s.refresh(t.Context())
			wantUnusable(t, s, v.ID)
			s = reopen(t, s)
			wantUnusable(t, s, v.ID)
			if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if after := filesOf(t, base); after != before {
				t.Errorf("the disk was %q, and is %q", before, after)
			}
		})
	}
}

func TestMarkerExchanged(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	other, otherBase := newStore(t)
	theirs := mustCreate(t, other, request("pvc-1"))
	for _, dir := range []string{base, otherBase} {
		if err := os.Rename(filepath.Join(dir, markerFile), filepath.Join(dir, "kept")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(otherBase, "kept"), filepath.Join(base, markerFile)); err != nil {
		t.Fatal(err)
	}
	wantUnusable(t, s, v.ID)
	s.refresh(t.Context())
	wantUnusable(t, s, v.ID)
	if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), "the disk was exchanged") {
		t.Errorf("error %v, want one that says that the disk was exchanged", err)
	}
	_, err := s.Volume(t.Context(), theirs.ID)
	wantClass(t, err, errdefs.ErrUnavailable)
}
