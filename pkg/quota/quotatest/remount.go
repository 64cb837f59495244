package quotatest

import (
	"os"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// remount unmounts the filesystem at dir and mounts it again as it was.
func remount(t *testing.T, dir string) {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(mounts) != 1 {
		t.Fatalf("no filesystem is mounted at %s: %v", dir, err)
	}
	m := mounts[0]
	// A loop device forgets its image when nobody has it open.
	device, err := os.Open(m.Source)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatalf("unmount %s: %v", dir, err)
	}
	var options []string
	for _, option := range strings.Split(m.VFSOptions, ",") {
		if option != "rw" {
			options = append(options, option)
		}
	}
	if err := unix.Mount(m.Source, dir, m.FSType, 0, strings.Join(options, ",")); err != nil {
		t.Fatalf("mount %s at %s with %q: %v", m.Source, dir, options, err)
	}
}
