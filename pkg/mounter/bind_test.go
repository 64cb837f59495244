package mounter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

// place is where a bind mount is made: kubelet's directory is a shared mount, of
// which the node has another one, as with Bidirectional mount propagation.
type place struct {
	pool, kubelet, onNode string
	aside                 string
}

// newPlace makes one whose disk is a mount with these flags.
func newPlace(t *testing.T, poolFlags uintptr) *place {
	t.Helper()
	plugin.RequireRoot(t)
	dir := t.TempDir()
	p := &place{
		pool: filepath.Join(dir, "pool"), kubelet: filepath.Join(dir, "kubelet"), onNode: filepath.Join(dir, "node"),
		aside: filepath.Join(dir, "aside"),
	}
	for _, at := range []string{filepath.Join(p.pool, "data"), filepath.Join(p.kubelet, "target"), p.onNode} {
		mkdirAll(t, at)
	}
	writeFile(t, filepath.Join(p.pool, "data", "file"), "content")
	t.Cleanup(func() {
		for _, at := range mountsBelow(t, dir) {
			unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	})
	mount := func(from, to string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(from, to, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount(p.pool, p.pool, unix.MS_BIND)
	mount("", p.pool, unix.MS_SHARED)
	mount("", p.pool, unix.MS_BIND|unix.MS_REMOUNT|poolFlags)
	mount(p.kubelet, p.kubelet, unix.MS_BIND)
	mount("", p.kubelet, unix.MS_PRIVATE)
	mount("", p.kubelet, unix.MS_SHARED)
	mount(p.kubelet, p.onNode, unix.MS_BIND)
	return p
}

// forBothWays runs a test with each way to attach. The aside one works on every
// kernel.
func forBothWays(t *testing.T, poolFlags uintptr, test func(t *testing.T, p *place, attach func(source, target string, options []string) error)) {
	t.Run("at once", func(t *testing.T) {
		if Fallback() != "" {
			t.Skip(Fallback())
		}
		test(t, newPlace(t, poolFlags), attachTree)
	})
	t.Run("aside", func(t *testing.T) {
		p := newPlace(t, poolFlags)
		test(t, p, (&asideMount{dir: p.aside}).attach)
		if exists(p.aside) {
			t.Error("the directory aside stays")
		}
	})
}

// optionsOf returns the options of the mount on top at a path, "" if none is.
func optionsOf(t *testing.T, at string) string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(at))
	if err != nil {
		t.Fatal(err)
	}
	if len(mounts) == 0 {
		return ""
	}
	return mounts[len(mounts)-1].Options
}

func TestBind(t *testing.T) {
	const defaults = unix.MS_RELATIME
	for _, test := range []struct {
		pool    uintptr
		options string
		want    string
	}{
		{defaults, "nosuid,nodev", "rw,nosuid,nodev,relatime"},
		{defaults, "nosuid,nodev,ro", "ro,nosuid,nodev,relatime"},
		{defaults, "nosuid,nodev,noexec,noatime", "rw,nosuid,nodev,noexec,noatime"},
		{defaults, "nosuid,nodev,nodiratime", "rw,nosuid,nodev,nodiratime,relatime"},
		{unix.MS_NOATIME, "nosuid,nodev", "rw,nosuid,nodev,noatime"},
		{unix.MS_NOATIME, "nosuid,nodev,relatime", "rw,nosuid,nodev,relatime"},
		{unix.MS_STRICTATIME, "nosuid,nodev", "rw,nosuid,nodev"},
		{unix.MS_STRICTATIME, "nosuid,nodev,nodiratime", "rw,nosuid,nodev,nodiratime"},
		// What the disk's mount has, its volumes have.
		{defaults | unix.MS_RDONLY | unix.MS_NOEXEC, "nosuid,nodev", "ro,nosuid,nodev,noexec,relatime"},
		{defaults | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NODIRATIME, "nosuid,nodev,ro", "ro,nosuid,nodev,nodiratime,relatime"},
	} {
		t.Run(fmt.Sprintf("%s of a pool with %#x", test.options, test.pool), func(t *testing.T) {
			forBothWays(t, test.pool, func(t *testing.T, p *place, attach func(source, target string, options []string) error) {
				data, target := open(t, filepath.Join(p.pool, "data")), filepath.Join(p.kubelet, "target")
				if err := attach(descriptorPath(data), target, strings.Split(test.options, ",")); err != nil {
					t.Fatal(err)
				}
				// The node's copy is the one that pods get.
				for _, at := range []string{target, filepath.Join(p.onNode, "target")} {
					if got := optionsOf(t, at); got != test.want {
						t.Errorf("%s is mounted with %q, want %q", at, got, test.want)
					}
					if !exists(filepath.Join(at, "file")) {
						t.Errorf("%s does not show the volume", at)
					}
				}
				// What the node mounts into the disk stays out of pods.
				if test.pool&unix.MS_RDONLY == 0 {
					mkdirAll(t, filepath.Join(p.pool, "data", "inside"))
					if err := unix.Mount("tmpfs", filepath.Join(p.pool, "data", "inside"), "tmpfs", 0, ""); err != nil {
						t.Fatal(err)
					}
				}
				if got := mountsBelow(t, p.kubelet); len(got) != 1 {
					t.Errorf("mounts %q, want one", got)
				}
			})
		})
	}
}

// TestBindFails lets each way fail and looks for what it leaves.
func TestBindFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, p *place)
		source  string // below the disk
	}{
		{"no source", func(*testing.T, *place) {}, "missing"},
		{"no target", func(t *testing.T, p *place) {
			if err := os.Remove(filepath.Join(p.kubelet, "target")); err != nil {
				t.Fatal(err)
			}
		}, "data"},
		{"a link as target", func(t *testing.T, p *place) {
			target := filepath.Join(p.kubelet, "target")
			if err := os.Rename(target, target+"-moved"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target+"-moved", target); err != nil {
				t.Fatal(err)
			}
		}, "data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			forBothWays(t, unix.MS_RELATIME, func(t *testing.T, p *place, attach func(source, target string, options []string) error) {
				test.prepare(t, p)
				err := attach(filepath.Join(p.pool, test.source), filepath.Join(p.kubelet, "target"), always)
				if err == nil {
					t.Error("it was mounted")
				}
				if got := append(mountsBelow(t, p.kubelet), mountsBelow(t, p.onNode)...); len(got) != 0 {
					t.Errorf("mounts %q, want none", got)
				}
				if got := mountsBelow(t, filepath.Dir(p.aside)); len(got) != 3 { // the place's own
					t.Errorf("mounts %q, want the place's own three", got)
				}
			})
		})
	}
}

// TestAsideAfterCrash finds two mounts where it prepares its own.
func TestAsideAfterCrash(t *testing.T) {
	p := newPlace(t, unix.MS_RELATIME)
	mkdirAll(t, p.aside)
	for range 2 {
		if err := unix.Mount(p.pool, p.aside, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	a := &asideMount{dir: p.aside}
	if err := a.attach(filepath.Join(p.pool, "data"), filepath.Join(p.kubelet, "target"), always); err != nil {
		t.Fatal(err)
	}
	if exists(p.aside) || !exists(filepath.Join(p.kubelet, "target", "file")) || !exists(filepath.Join(p.pool, "data", "file")) {
		t.Error("the volume is not at the target, or something stays aside")
	}
}

// TestAsideSparesFiles has files where mounts are prepared: nobody's that
// hostdir knows.
func TestAsideSparesFiles(t *testing.T) {
	p := newPlace(t, unix.MS_RELATIME)
	mkdirAll(t, p.aside)
	writeFile(t, filepath.Join(p.aside, "precious"), "")
	a := &asideMount{dir: p.aside}
	err := a.attach(filepath.Join(p.pool, "data"), filepath.Join(p.kubelet, "target"), always)
	if !errors.Is(err, unix.ENOTEMPTY) || !exists(filepath.Join(p.aside, "precious")) {
		t.Errorf("error %v, want %v, and the file where it was", err, unix.ENOTEMPTY)
	}
}

// TestIsMounted looks at a target where nothing, something else, or the volume
// without its options is mounted.
func TestIsMounted(t *testing.T) {
	p := newPlace(t, unix.MS_RELATIME)
	data, target := filepath.Join(p.pool, "data"), filepath.Join(p.kubelet, "target")
	if mounted, err := isMounted(data, target, 0); mounted || err == nil {
		t.Errorf("nothing is mounted, and isMounted returns %t, %v", mounted, err)
	}
	if err := unix.Mount(data, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if mounted, err := isMounted(p.pool, target, unix.MS_RELATIME); mounted || err == nil {
		t.Errorf("something else is mounted, and isMounted returns %t, %v", mounted, err)
	}
	if mounted, err := isMounted(data, target, unix.MS_RELATIME|unix.MS_NOSUID); !mounted || err == nil {
		t.Errorf("it is mounted without nosuid, and isMounted returns %t, %v", mounted, err)
	}
	if mounted, err := isMounted(data, target, unix.MS_RELATIME); !mounted || err != nil {
		t.Errorf("it is mounted as asked, and isMounted returns %t, %v", mounted, err)
	}
}
