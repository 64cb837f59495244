package quota_test

import (
	"errors"
	"os"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
)

// TestExclusive has a snapshot share all, and then nothing, with what it was made of.
func TestExclusive(t *testing.T) {
	dir := btrfs(t, enableFull)
	v := newVolume(t, dir)
	if err := os.WriteFile(v.path+"/file", make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	parent, volume := open(t, dir), open(t, v.path)
	defer parent.Close()
	defer volume.Close()
	snapshot, err := quota.SnapshotSubvolume(parent, "snapshot", volume, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name        string
		do          func() error
		least, most int64
	}{
		{"shared", func() error { return nil }, 0, 1 << 20},
		{"the original is emptied", func() error { return os.Truncate(v.path+"/file", 0) }, 2 << 20, 3 << 20},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		disk.Sync(t, dir)
		if got, err := quota.Exclusive(parent, snapshot); err != nil || got < step.least || got > step.most {
			t.Errorf("%s: Exclusive() = %d, %v; want %d to %d", step.name, got, err, step.least, step.most)
		}
	}
	if got, err := quota.Exclusive(parent, 1<<40); err == nil || errors.Is(err, quota.ErrOff) {
		t.Errorf("Exclusive() = %d, %v for a subvolume that there is not", got, err)
	}
	switchQuotas(t, dir, disable)
	if got, err := quota.Exclusive(parent, snapshot); !errors.Is(err, quota.ErrOff) {
		t.Errorf("Exclusive() = %d, %v without quotas", got, err)
	}
	switchQuotas(t, dir, enableSimple)
	if got, err := quota.Exclusive(parent, snapshot); !errors.Is(err, quota.ErrOff) {
		t.Errorf("Exclusive() = %d, %v under simple quotas", got, err)
	}
}
