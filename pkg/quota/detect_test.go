package quota_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
)

// TestDetectExplains wants an admin to be told what to do with each filesystem
// that could limit directories and does not.
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
			if q.Kind() != quota.None || err == nil {
				t.Fatalf("Detect() = %s, %v; want none and an error", q.Kind(), err)
			}
			for _, want := range []string{dir, test.filesystem, test.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not tell %q: %v", want, err)
				}
			}
		})
	}
}

func TestDetectOfOthersExplains(t *testing.T) {
	q, err := quota.Detect(open(t, "/proc"))
	if q.Kind() != quota.None || err == nil || !strings.Contains(err.Error(), "/proc is on a filesystem that cannot") {
		t.Errorf("Detect() = %s, %v", q.Kind(), err)
	}
}
