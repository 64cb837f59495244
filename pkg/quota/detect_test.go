package quota_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
)

// TestDetectExplains wants the error to say what to do with each filesystem that
// could limit directories and does not.
func TestDetectExplains(t *testing.T) {
	for _, test := range []struct{ filesystem, variable, want string }{
		{"xfs", "HOSTDIR_VM_XFS_PLAIN", "prjquota"},
		{"ext4", "HOSTDIR_VM_EXT4_PLAIN", "tune2fs -O project,quota"},
		{"btrfs", "", "btrfs quota enable"},
	} {
		t.Run(test.filesystem, func(t *testing.T) {
			dir := os.Getenv(test.variable)
			if dir == "" {
				needDisks(t)
				dir = disk.Mount(t, test.filesystem, diskSize)
			}
			q, err := quota.Detect(open(t, dir))
			if q != nil || !errors.Is(err, quota.ErrOff) {
				t.Fatalf("Detect() = %v, %v; want none and ErrOff", q, err)
			}
			for _, want := range []string{dir, test.filesystem, test.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestDetectOfOthersExplains(t *testing.T) {
	q, err := quota.Detect(open(t, "/proc"))
	if q != nil || !errors.Is(err, quota.ErrOff) || !strings.Contains(err.Error(), "/proc is on a filesystem that cannot") {
		t.Errorf("Detect() = %v, %v", q, err)
	}
}
