package disk

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// MountsBelow returns what is mounted below a directory, the last mount last.
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

// UnmountBelow unmounts all that is mounted below a directory. What lies under
// another mount can be unmounted only once that is gone, and the mount table does
// not say which lies on which.
func UnmountBelow(t testing.TB, root string) {
	t.Helper()
	left := MountsBelow(t, root)
	for progress := true; progress && len(left) > 0; left = MountsBelow(t, root) {
		progress = false
		for _, at := range slices.Backward(left) {
			progress = unix.Unmount(at, unix.UMOUNT_NOFOLLOW) == nil || progress
		}
	}
	if len(left) > 0 {
		t.Errorf("still mounted below %s: %q", root, left)
	}
}
