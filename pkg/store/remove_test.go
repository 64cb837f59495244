package store

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestPurgeSubvolumes removes what a tenant can make on btrfs: subvolumes in
// subvolumes, and snapshots that are read-only.
func TestPurgeSubvolumes(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "btrfs", 256*mebibyte)
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	btrfs := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("btrfs", append([]string{"subvolume"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs subvolume %q: %v\n%s", args, err, out)
		}
	}
	outer := filepath.Join(v.Path, "outer")
	btrfs("create", outer)
	writeFile(t, filepath.Join(outer, "file"), "content")
	btrfs("create", filepath.Join(outer, "inner"))
	writeFile(t, filepath.Join(outer, "inner", "file"), "content")
	btrfs("snapshot", "-r", outer, filepath.Join(v.Path, "snapshot"))
	btrfs("snapshot", "-r", filepath.Join(outer, "inner"), filepath.Join(outer, "snapshot"))

	mustDelete(t, s, v.ID)
	s.purge(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
}
