package dir

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestZpool(t *testing.T) {
	for dataset, want := range map[string]string{
		"tank":                "zpool tank",
		"tank/data":           "zpool tank",
		"tank/data/nvme 1":    "zpool tank",
		"tank-2/data":         "zpool tank-2",
		"tank/data@yesterday": "zpool tank",
	} {
		if got := zpool(dataset); got != want {
			t.Errorf("dataset %s is in %q, want %q", dataset, got, want)
		}
	}
}

// TestStorageID has directories that share room and others that do not.
func TestStorageID(t *testing.T) {
	plugin.RequireRoot(t)
	id := func(path string) string {
		t.Helper()
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		id, err := d.StorageID()
		if err != nil || id == "" {
			t.Fatalf("the storage of %s is %q: %v", path, id, err)
		}
		return id
	}
	run := func(command ...string) {
		t.Helper()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	btrfs, other, ext4 := disk.Mount(t, "btrfs", 128<<20), disk.Mount(t, "btrfs", 128<<20), disk.Mount(t, "ext4", 16<<20)
	run("btrfs", "subvolume", "create", filepath.Join(btrfs, "a"))
	run("btrfs", "subvolume", "create", filepath.Join(btrfs, "a/b"))
	run("mkdir", filepath.Join(ext4, "a"))
	for path, same := range map[string]string{
		filepath.Join(btrfs, "a"):   btrfs,
		filepath.Join(btrfs, "a/b"): btrfs,
		filepath.Join(ext4, "a"):    ext4,
	} {
		if id(path) != id(same) {
			t.Errorf("%s takes its room from %s, %s from %s", path, id(path), same, id(same))
		}
	}
	if id(btrfs) == id(other) || id(btrfs) == id(ext4) || id(ext4) == id(t.TempDir()) {
		t.Errorf("filesystems share room: %s, %s, %s", id(btrfs), id(other), id(ext4))
	}
}
