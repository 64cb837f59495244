package store

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

// mountTmpfs mounts an empty filesystem until the test ends. Its options are
// those of tmpfs(5).
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	plugin.RequireRoot(t)
	dir := filepath.Join(t.TempDir(), "tmpfs")
	mkdirAll(t, dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmountAll(dir) })
	return dir
}

// bindMount mounts a directory at another one until the test ends.
func bindMount(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmountAll(to) })
}

// unmountAll takes away all that a test has mounted at a path.
func unmountAll(path string) {
	for unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
}

// mustUnmount is the admin's umount, which fails while somebody holds a file
// open on the disk.
func mustUnmount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatalf("umount %s: %v", dir, err)
	}
}

func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

// setImmutable sets FS_IMMUTABLE_FL, as chattr(1) does, until the test ends.
func setImmutable(t *testing.T, dir string) {
	t.Helper()
	const immutable = 0x10
	set := func(on bool) error {
		fd, err := unix.Open(dir, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		flags &^= immutable
		if on {
			flags |= immutable
		}
		return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags)
	}
	if err := set(true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(false); err != nil {
			t.Error(err)
		}
	})
}
