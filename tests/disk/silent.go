package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// MountSilent mounts a filesystem that never answers until the test ends, as a disk
// does whose controller hangs. It returns where. A system call that asks it anything
// does not return before that; all of them fail then.
func MountSilent(t testing.TB) string {
	t.Helper()
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_TYPE, &unix.Statx_t{}); err != nil {
		t.Skipf("without statx(2) (%v) a filesystem has to be asked what kind of file it has: it takes Linux 4.11", err)
	}
	dir := filepath.Join(t.TempDir(), "silent")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Nobody reads the requests that the kernel puts there.
	requests, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	// What is mounted elsewhere by then holds the filesystem, but no caller any more.
	t.Cleanup(func() {
		requests.Close()
		unix.Unmount(dir, unix.MNT_DETACH)
	})
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", requests.Fd())
	if err := unix.Mount("silent", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Fatal(err)
	}
	return dir
}
