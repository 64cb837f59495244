package inputs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

var long = flag.Bool("long", false, "delete a million files, not twenty thousand")

func TestDeleteManyFiles(t *testing.T) {
	const perDirectory = 1_000
	files := 20_000
	if *long {
		files = 1_000_000
	}
	s := startOn(t, tmpfs(t))
	s.ctx = t.Context() // to make the files takes its time
	before := snapshot(t, s.Base)
	id := s.create(t, "pvc-many")
	for i := range files / perDirectory {
		directory := filepath.Join(s.VolumeDir(id), "data", fmt.Sprint(i))
		mkdir(t, directory)
		for j := range perDirectory {
			f, err := os.Create(filepath.Join(directory, fmt.Sprint(j)))
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	wantCode(t, s.delete(id), codes.OK, "")
	s.waitPurged(t)
	wantSame(t, s.Base, before)
}

func TestDeleteDeepTree(t *testing.T) {
	const levels, descriptors = 4_000, 128 // the program cannot open all levels at once
	s := startOn(t, tmpfs(t))
	s.limitDescriptors(t, descriptors)
	before := snapshot(t, s.Base)
	outside := snapshot(t, s.outside)
	id := s.create(t, "pvc-deep")
	at, err := unix.Open(filepath.Join(s.VolumeDir(id), "data"), unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The path gets too long for a system call: each level is reached from
	// the one above.
	for range levels {
		if err := unix.Mkdirat(at, "level", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Symlinkat(s.outside, at, "link"); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "level", unix.O_DIRECTORY, 0)
		unix.Close(at)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	unix.Close(at)
	wantCode(t, s.delete(id), codes.OK, "")
	s.waitPurged(t)
	wantSame(t, s.Base, before)
	wantSame(t, s.outside, outside)
}

// tmpfs is an empty filesystem in memory: to make many files is fast there.
func tmpfs(t *testing.T) string {
	t.Helper()
	plugin.RequireRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
