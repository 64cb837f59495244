package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestInitialise(t *testing.T) {
	for _, test := range []struct {
		name string
		lay  func(t *testing.T, base string)
		// refused is what the store says, "" if it takes the directory.
		refused string
	}{
		{"empty", func(*testing.T, string) {}, ""},
		{"what mkfs leaves", func(t *testing.T, base string) { mkdirAll(t, filepath.Join(base, "lost+found")) }, ""},
		{"interrupted before the first directory was filled", func(t *testing.T, base string) {
			mkdirAll(t, filepath.Join(base, volumesDir))
		}, ""},
		{"interrupted before the rename", func(t *testing.T, base string) {
			for _, name := range []string{volumesDir, trashDir, claimsDir} {
				mkdirAll(t, filepath.Join(base, name))
			}
			writeFile(t, filepath.Join(base, markerNewFile), `{"vers`)
		}, ""},
		{"a file", func(t *testing.T, base string) { writeFile(t, filepath.Join(base, "precious"), "") }, `"precious"`},
		{"a hidden file", func(t *testing.T, base string) { writeFile(t, filepath.Join(base, ".precious"), "") }, `".precious"`},
		{"a link", func(t *testing.T, base string) {
			if err := os.Symlink("/", filepath.Join(base, "link")); err != nil {
				t.Fatal(err)
			}
		}, `"link"`},
		{"volumes without a marker", func(t *testing.T, base string) {
			mkdirAll(t, filepath.Join(base, volumesDir, "pvc-1"))
		}, `"pvc-1"`},
		{"not there", func(t *testing.T, base string) {
			if err := os.Remove(base); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"a file in its place", func(t *testing.T, base string) {
			if err := os.Remove(base); err != nil {
				t.Fatal(err)
			}
			writeFile(t, base, "precious")
		}, "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "pool")
			mkdirAll(t, base)
			test.lay(t, base)
			before := tree(t, base)
			s := openStore(t, onePool(base))
			err := brokenBecause(t, s)
			if test.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				mustCreate(t, s, request("pvc-1"))
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want one that says %s", err, test.refused)
			}
			_, err = s.Create(t.Context(), request("pvc-1"))
			wantClass(t, err, errdefs.ErrNoSpace)
			if c := s.Capacity(Class{Pool: DefaultPool}); c != (Capacity{}) {
				t.Errorf("capacity %+v, want none", c)
			}
			if after := tree(t, base); after != before {
				t.Errorf("the refused directory was %q, and is %q", before, after)
			}
		})
	}
}

// tree lists all paths below a directory.
func tree(t *testing.T, base string) string {
	t.Helper()
	out, err := exec.Command("find", base, "-printf", "%P %y %m %s\n").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such file") {
		t.Fatalf("find: %v\n%s", err, out)
	}
	return string(out)
}

func TestInitialiseTakesNewFilesystems(t *testing.T) {
	plugin.RequireRoot(t)
	for filesystem, size := range map[string]int64{"ext4": 16 * mebibyte, "xfs": 300 * mebibyte, "btrfs": 128 * mebibyte} {
		t.Run(filesystem, func(t *testing.T) {
			base := disk.Mount(t, filesystem, size)
			s := openStore(t, onePool(base))
			if err := brokenBecause(t, s); err != nil {
				t.Fatal(err)
			}
			m, err := s.bases[0].mustOpen(t).readMarker()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE", base).Output()
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSpace(string(out)); m.Filesystem.Type != want || m.Filesystem.UUID == "" {
				t.Errorf("the marker names the filesystem %q, want %s and a UUID", m.Filesystem, want)
			}
		})
	}
}

func TestMarkerDamaged(t *testing.T) {
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "cannot be read"},
		{"cut off", `{"version": 1, "uu`, "cannot be read"},
		{"newer", `{"version": 2, "uuid": "5f4ae8a2-7b1d-4d3a-9a51-2a5d1f0f3b11"}`, "version 2"},
		{"without a UUID", `{"version": 1}`, "UUID"},
		{"a UUID that is a path", `{"version": 1, "uuid": "../../../../etc"}`, "UUID"},
		{"of another type of filesystem", `{"version": 1, "uuid": "5f4ae8a2-7b1d-4d3a-9a51-2a5d1f0f3b11", "filesystem": {"type": "zfs"}}`, "another filesystem (zfs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, base := newStore(t)
			v := mustCreate(t, s, request("pvc-1"))
			writeFile(t, filepath.Join(base, markerFile), test.content)
			before := tree(t, base)
			wantUnusable(t, s, v.ID) // at once
			s.refresh(t.Context())
			wantUnusable(t, s, v.ID)
			s = reopen(t, s)
			wantUnusable(t, s, v.ID)
			if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if after := tree(t, base); after != before {
				t.Errorf("the base directory was %q, and is %q", before, after)
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
	_, err := s.Volume(theirs.ID)
	wantClass(t, err, errdefs.ErrUnavailable)
}
