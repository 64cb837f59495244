package disk

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// MountsBelow tells what is mounted below a directory, the last mount last.
func MountsBelow(t testing.TB, root string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(root))
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, root+"/") {
			at = append(at, m.Mountpoint)
		}
	}
	return at
}

// UnmountBelow unmounts all that is mounted below a directory.
func UnmountBelow(t testing.TB, root string) {
	t.Helper()
	for _, at := range slices.Backward(MountsBelow(t, root)) { // the last one lies on top
		if err := unix.Unmount(at, unix.UMOUNT_NOFOLLOW); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	}
}
