package quota_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
)

// TestRemoveInTime removes qgroups while btrfs clears their subvolumes away, at any moment
// of that: it goes on counting all others.
func TestRemoveInTime(t *testing.T) {
	dir := btrfs(t, enableFull)
	parent := open(t, dir)
	defer parent.Close()
	disk.Sync(t, dir) // quotas were just switched on
	limits, err := quota.Detect(parent)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		v := newVolume(t, dir)
		if err := os.WriteFile(v.path+"/file", make([]byte, 64<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		disk.Sync(t, dir)
		if err := quota.RemoveSubvolume(parent, filepath.Base(v.path)); err != nil {
			t.Fatal(err)
		}
		cleared := make(chan error, 1)
		go func() { cleared <- quota.ClearAway(parent) }()
		for {
			err := limits.Remove(parent, v.id)
			if err == nil {
				break
			}
			if !errors.Is(err, errdefs.ErrBusy) {
				t.Fatal(err)
			}
		}
		if err := <-cleared; err != nil {
			t.Fatal(err)
		}
		if _, err := quota.Detect(parent); err != nil {
			t.Fatal(err)
		}
	}
}
