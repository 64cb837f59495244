// Package disk gives tests filesystems of their own: images in a temporary
// directory, mounted through loop devices.
package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mkfs makes each filesystem, as small as it goes.
var mkfs = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// Image makes a file of this size with an empty filesystem in it. XFS needs 300
// MiB.
func Image(t testing.TB, filesystem string, size int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), filesystem+".img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	run(t, append(mkfs[filesystem], image)...)
	return image
}

// Mount makes a filesystem and mounts it until the test ends. It returns where.
func Mount(t testing.TB, filesystem string, size int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filesystem)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	MountImage(t, Image(t, filesystem, size), dir)
	return dir
}

// MountLimited makes a btrfs that counts what its subvolumes hold, and so can
// limit them, and mounts it until the test ends. It returns where.
func MountLimited(t testing.TB, size int64) string {
	t.Helper()
	dir := Mount(t, "btrfs", size)
	// btrfs clears removed subvolumes away after its commits, every 30 s by default.
	run(t, "mount", "-o", "remount,commit=1", dir)
	run(t, "btrfs", "quota", "enable", dir)
	run(t, "btrfs", "quota", "rescan", "-w", dir)
	return dir
}

// MountImage mounts an image until the test ends.
func MountImage(t testing.TB, image, dir string) {
	t.Helper()
	run(t, "mount", "-o", "loop", image, dir)
	UnmountLater(t, dir)
}

// UnmountLater takes away what is mounted at dir when the test ends.
func UnmountLater(t testing.TB, dir string) { t.Cleanup(func() { unmount(dir) }) }

// Sync writes back the filesystem that a directory is on, and no other: sync(2)
// would wait for every disk of the machine.
func Sync(t testing.TB, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// unmount takes a disk away that the test has not, once a plugin that still runs
// has closed what it is looking at. If it cannot, the removal of the test's
// directories says so.
func unmount(dir string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := unix.Unmount(dir, 0); err != unix.EBUSY {
			return
		}
	}
}

func run(t testing.TB, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
}
