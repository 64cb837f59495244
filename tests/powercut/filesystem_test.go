package powercut

import (
	"os/exec"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

// filesystem is a kind of filesystem, as small as its kind goes.
type filesystem struct {
	name string
	kind string
	size int64
	// sector is what its drive writes as a whole. XFS takes that for granted of
	// its blocks, which it logs in parts, btrfs and ext4 of their superblocks,
	// which have a checksum and are not mounted when half of one is new.
	sector int
	// limited reports that volumes are held to their capacity.
	limited bool
}

var filesystems = []filesystem{
	{name: "ext4", kind: "ext4", size: 128 << 20, sector: 4096},
	{name: "xfs", kind: "xfs", size: 300 << 20, sector: 4096},
	{name: "btrfs", kind: "btrfs", size: 256 << 20, sector: 4096},
	{name: "btrfs with limits", kind: "btrfs", size: 256 << 20, sector: 4096, limited: true},
}

// make makes a new one.
func (f filesystem) make(t *testing.T) *drive.Image {
	t.Helper()
	image := disk.Image(t, f.kind, f.size)
	if f.limited {
		dir := t.TempDir()
		disk.MountImage(t, image, dir)
		run(t, "btrfs", "quota", "enable", dir)
		run(t, "btrfs", "quota", "rescan", "-w", dir)
		run(t, "umount", dir)
	}
	content, err := drive.Read(image)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mount mounts what is on a drive until the test ends.
func (f filesystem) mount(t *testing.T, drive, dir string) {
	t.Helper()
	if f.kind != "btrfs" {
		disk.MountImage(t, drive, dir)
		return
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		// What the kernel remembers of the same filesystem on another loop
		// device would keep it from this one. It forgets only what is not mounted;
		// and a test beside this one may have it forget what is being mounted here.
		run(t, "btrfs", "device", "scan", "--forget")
		out, err := exec.Command("mount", "-o", "loop", drive, dir).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("mount %s: %v\n%s", drive, err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	disk.UnmountLater(t, dir)
	if f.limited {
		// Removed subvolumes are cleared away after commits.
		run(t, "mount", "-o", "remount,commit=1", dir)
	}
}

func run(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
}
