package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWalk counts a volume with more directories in one than a walk remembers.
func TestWalk(t *testing.T) {
	const wide = 10 * walkBatch
	s := openStore(t, onePool(t.TempDir()))
	req := request("pvc-1")
	req.Class.Quota = QuotaOff
	v := mustCreate(t, s, req)
	for i := range wide {
		directory := filepath.Join(v.Path, fmt.Sprintf("directory-%d", i))
		mkdirAll(t, filepath.Join(directory, "sub", "sub"))
		if err := os.Symlink("/", filepath.Join(directory, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, "sub", "file"), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(v.Path, "directory-0/sub/file"), filepath.Join(v.Path, "hard-link")); err != nil {
		t.Fatal(err)
	}
	b := s.bases[0]
	if err := b.walkVolume(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	if got, want := b.volume("pvc-1").Count.Inodes, int64(1+wide*5+1); got != want {
		t.Errorf("counted %d entries, want %d", got, want)
	}

	at := &walked{name: volumesDir + "/pvc-1/" + dataDir}
	for steps := 0; !at.done; steps++ {
		if err := b.walkOn(at, &Count{}); err != nil {
			t.Fatal(err)
		}
		// One reading brings at most as many as its buffer holds.
		if n := len(at.below); n > walkBatch+8<<10/24 {
			t.Fatalf("a walk remembers %d directories", n)
		}
		at.below = nil
	}
}

// TestWalkMeetsOthers walks where a tenant has put something else in a
// directory's place.
func TestWalkMeetsOthers(t *testing.T) {
	s := openStore(t, onePool(t.TempDir()))
	v := mustCreate(t, s, request("pvc-1"))
	b := s.bases[0]
	for name, replace := range map[string]func(path string) error{
		"nothing": os.Remove,
		"a link": func(path string) error {
			os.Remove(path)
			return os.Symlink("/", path)
		},
		"a pipe": func(path string) error {
			os.Remove(path)
			return unix.Mkfifo(path, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := replace(filepath.Join(v.Path, "directory")); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			err := b.walkOn(&walked{name: volumesDir + "/pvc-1/" + dataDir + "/directory"}, &Count{})
			if !isMoved(err) {
				t.Errorf("error %v, want one that says that the directory is gone", err)
			}
		})
	}
}
