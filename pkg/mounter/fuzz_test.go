package mounter

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// FuzzMountTable looks for a volume in mount tables. Other mounts, whatever
// else stands there, neither hide one of the volume's nor count as one.
func FuzzMountTable(f *testing.F) {
	f.Add([]byte("24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"), "/var/lib/hostdir")
	f.Add([]byte("24 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 24 8:2 /sub /mnt rw master:2 - btrfs /dev/sdb rw,subvol=/sub\n"), "/mnt/a b")
	f.Add([]byte("24 1 8:1 /root\\040dir / rw - ext4 /dev/sda1 rw\n"), "/a\\b")
	f.Fuzz(func(t *testing.T, table []byte, pool string) {
		if strings.ContainsAny(pool, "\x00") || filepath.Clean("/"+pool) != pool {
			return
		}
		others, err := mountinfo.GetMountsFromReader(bytes.NewReader(table), nil)
		if err != nil {
			return // the kernel does not write such tables
		}
		for _, m := range others {
			if m.ID == 1000 || m.Major == 999 {
				return
			}
		}
		// The disk, and two mounts of the volume beside one of a
		// neighbour whose name begins like the volume's.
		name := filepath.Join(pool, "volumes", "pvc-1", "data")
		ours := []*mountinfo.Info{
			{ID: 1000, Major: 999, Minor: 1, Root: "/", Mountpoint: pool},
			{ID: 1001, Major: 999, Minor: 1, Root: "/volumes/pvc-1/data", Mountpoint: "/kubelet/whole"},
			{ID: 1002, Major: 999, Minor: 1, Root: "/volumes/pvc-1/data/sub", Mountpoint: "/kubelet/sub"},
			{ID: 1003, Major: 999, Minor: 1, Root: "/volumes/pvc-1/data2", Mountpoint: "/kubelet/neighbour"},
		}
		all := append(others, ours...)
		at, err := positionIn(all, 1000, name)
		got := at.mountedIn(all)
		if want := []string{"/kubelet/whole", "/kubelet/sub"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("the volume at %q is found mounted at %q (%v), want %q", name, got, err, want)
		}
		if at, err := positionIn(others, 1000, name); err == nil {
			t.Errorf("the pool's mount is missing, and the volume is found at %+v", at)
		}
	})
}

// FuzzTargetPath opens target paths in a directory of kubelet's that has links
// out of it.
func FuzzTargetPath(f *testing.F) {
	kubelet := filepath.Join(f.TempDir(), "kubelet")
	for _, dir := range []string{"kubelet/pods/a/volumes", "outside", "kubelet-evil"} {
		if err := os.MkdirAll(filepath.Join(filepath.Dir(kubelet), dir), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../outside", "pods/up": "../..", "pods/a/slash": "/", "in": "pods"} {
		if err := os.Symlink(to, filepath.Join(kubelet, link)); err != nil {
			f.Fatal(err)
		}
	}
	m, err := New(kubelet, NewBind(filepath.Join(f.TempDir(), "mounting")))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{"/pods/a/volumes", "/pods", "/out/x", "/pods/up/x", "/pods/a/slash/etc", "/in/a", "/../outside/x", "-evil/x", "", "/", "/pods//a", "/pods/a/."} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, below string) {
		path := kubelet + below
		target, err := m.openTarget(path)
		if err != nil {
			known := errors.Is(err, errdefs.ErrInvalid) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EINVAL)
			if !known {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		defer target.close()
		parent, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", target.parent.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if parent+"/"+target.name != path || strings.ContainsAny(target.name, "/") || target.name == ".." || target.name == "." {
			t.Errorf("the target path %q is %q in %s", path, target.name, parent)
		}
	})
}

// FuzzOptions asks for mount options.
func FuzzOptions(f *testing.F) {
	f.Add("ro,noexec")
	f.Add("noatime,relatime")
	f.Add("suid")
	f.Add("nosuid,dev")
	f.Fuzz(func(t *testing.T, list string) {
		options := strings.Split(list, ",")
		if err := CheckOptions(options); err != nil {
			if !errors.Is(err, errdefs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		all := slices.Concat(always, options)
		attr := mountAttr(all)
		const safe = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
		if attr.Attr_set&safe != safe || attr.Attr_clr&safe != 0 {
			t.Errorf("%q sets %#x and clears %#x", all, attr.Attr_set, attr.Attr_clr)
		}
		flags := mountFlags(unix.MS_STRICTATIME).with(all)
		if flags&(unix.MS_NOSUID|unix.MS_NODEV) != unix.MS_NOSUID|unix.MS_NODEV || flags&^(atimeFlags|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NODIRATIME) != 0 {
			t.Errorf("%q is %#x for mount(2)", all, flags)
		}
	})
}
