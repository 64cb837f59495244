package dir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestMountOfSilentDisk looks at a mount whose filesystem does not answer: what the
// kernel knows by itself, it says.
func TestMountOfSilentDisk(t *testing.T) {
	plugin.RequireRoot(t)
	forBothWays(t, func(t *testing.T) {
		silent := disk.MountSilent(t)
		parent := open(t, filepath.Dir(silent))
		above, err := MountID(parent)
		if err != nil {
			t.Fatal(err)
		}
		look := func() error {
			f, err := OpenBeneath(parent, filepath.Base(silent), looking, 0, CrossMounts)
			if err != nil {
				return err
			}
			defer f.Close()
			id, err := MountID(f)
			if err != nil {
				return err
			}
			if id == above {
				t.Error("the mount has the ID of the one above it")
			}
			m, err := MountOf(f)
			if err == nil && (m.Mountpoint != silent || m.FSType != "fuse" || uint64(m.ID) != id) {
				t.Errorf("the mount table says %+v of it", m)
			}
			if _, err := OpenBeneath(parent, filepath.Base(silent), looking, 0, RefuseMounts); !errors.Is(err, unix.EXDEV) {
				t.Errorf("error %v, want %v", err, unix.EXDEV)
			}
			return err
		}
		done := make(chan error, 1)
		go func() { done <- look() }()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the filesystem was asked")
		}
	})
}

// TestMountOf reads the mount table.
func TestMountOf(t *testing.T) {
	root := tree(t)
	for name, mounted := range map[string]bool{"a": false, "bound": true, "bound/sub": true, "over": true} {
		path := filepath.Join(root.Name(), name)
		m, err := MountOf(open(t, path))
		if err != nil {
			t.Fatal(err)
		}
		at := path
		if name == "bound/sub" {
			at = filepath.Dir(path)
		}
		if real, err := filepath.EvalSymlinks(at); err != nil || mounted != (m.Mountpoint == real) {
			t.Errorf("%s is on the mount at %s (%v)", name, m.Mountpoint, err)
		}
	}
	// A pipe is on a mount of the kernel's own, which no table has.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if m, err := MountOf(r); err == nil {
		t.Errorf("a pipe is on the mount %+v", m)
	}
}
