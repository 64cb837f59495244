package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func open(t *testing.T, path string) *dir.Dir {
	t.Helper()
	d, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// bind mounts a directory of a filesystem where nothing else of that is seen, as a
// container has it.
func bind(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
	return to
}

// TestThrough renames between two bind mounts of one filesystem.
func TestThrough(t *testing.T) {
	plugin.RequireRoot(t)
	for filesystem, size := range map[string]int64{"ext4": 64 << 20, "xfs": 300 << 20, "btrfs": 256 << 20} {
		t.Run(filesystem, func(t *testing.T) {
			mounted := disk.Mount(t, filesystem, size)
			for _, name := range []string{"pool", "old/deep/www"} {
				if err := os.MkdirAll(filepath.Join(mounted, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			pool, old := open(t, bind(t, filepath.Join(mounted, "pool"))), open(t, bind(t, filepath.Join(mounted, "old")))
			parent, err := old.Sub("deep")
			if err != nil {
				t.Fatal(err)
			}
			defer parent.Close()
			if err := parent.RenameTo("www", pool, "data"); !errors.Is(err, unix.EXDEV) {
				t.Fatalf("without a detour: %v, want EXDEV", err)
			}
			through, err := parent.Through(pool)
			if err != nil {
				t.Fatal(err)
			}
			defer through.Close()
			for _, step := range []error{through.RenameTo("www", pool, "data"), pool.RenameTo("data", through, "www"), through.Sync()} {
				if step != nil {
					t.Error(step)
				}
			}
			if _, err := os.Stat(filepath.Join(mounted, "old/deep/www")); err != nil {
				t.Error(err)
			}
			elsewhere := open(t, t.TempDir())
			if _, err := parent.Through(elsewhere); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("through another filesystem: %v", err)
			}
		})
	}
}
