package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
)

// TestWalk counts a volume with more directories in one than a walk remembers.
func TestWalk(t *testing.T) {
	t.Parallel()
	const wide = 4 * walkBatch
	s := openStore(t, onePool(mountTmpfs(t, "size=128m")))
	req := request("pvc-1")
	req.Class.Quota = config.QuotaOff
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
	b := only(t, s)
	if err := b.walkVolume(t.Context(), v.Dir); err != nil {
		t.Fatal(err)
	}
	if got, want := b.volume("pvc-1").Usage.Inodes, int64(1+wide*5+1); got != want {
		t.Errorf("counted %d entries, want %d", got, want)
	}

	at := &walked{name: volumesDir + "/pvc-1/" + dataDir}
	for steps := 0; !at.done; steps++ {
		if err := b.walkOn(at, &Usage{}); err != nil {
			t.Fatal(err)
		}
		// One reading brings at most as many as its buffer holds.
		if n := len(at.subdirs); n > walkBatch+8<<10/24 {
			t.Fatalf("a walk remembers %d directories", n)
		}
		at.subdirs = nil
	}
}

// TestWalkMeetsOthers walks where a tenant has put something else in a
// directory's place.
func TestWalkMeetsOthers(t *testing.T) {
	s := openStore(t, onePool(t.TempDir()))
	v := mustCreate(t, s, request("pvc-1"))
	b := only(t, s)
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
			err := b.walkOn(&walked{name: volumesDir + "/pvc-1/" + dataDir + "/directory"}, &Usage{})
			if !isMoved(err) {
				t.Errorf("error %v, want one that says that the directory is gone", err)
			}
		})
	}
}

// TestWalkInSteps walks through one large flat directory: however large it is, a step
// is over soon, and between two of them the walk can be ended.
func TestWalkInSteps(t *testing.T) {
	files := 200_000
	if testing.Short() {
		files = 50_000
	}
	base := mountTmpfs(t, "size=512m,nr_inodes=0")
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	for i := range files {
		if err := unix.Mknod(filepath.Join(v.Path, fmt.Sprint(i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	d := only(t, s)
	at := &walked{name: volumesDir + "/pvc-1/" + dataDir}
	var usage Usage
	steps, slow := 0, 0
	for began := time.Now(); !at.done; began = time.Now() {
		if err := d.walkOn(at, &usage); err != nil {
			t.Fatal(err)
		}
		if steps++; time.Since(began) > 2*walkStep {
			slow++
		}
	}
	if usage.Inodes != int64(files)+1 {
		t.Errorf("counted %d entries, want %d", usage.Inodes, files+1)
	}
	if steps < 2 || slow > 1+steps/4 { // other tests keep the machine busy
		t.Errorf("%d steps, of which %d took more than %s", steps, slow, 2*walkStep)
	}
	began := time.Now()
	if err := d.walkVolume(soon(t, 10*time.Millisecond), "pvc-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a walk that was ended returns %v", err)
	}
	if took := time.Since(began); took > 10*walkStep {
		t.Errorf("it took %s to end a walk", took)
	}
	mustUnmount(t, base) // nothing keeps it
}
