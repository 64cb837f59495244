package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestPurgeSubvolumes removes what a tenant can make on btrfs: subvolumes in
// subvolumes, snapshots that are read-only, and a volume that is.
func TestPurgeSubvolumes(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.MountLimited(t, 256*mebibyte)
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	btrfs := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs %q: %v\n%s", args, err, out)
		}
	}
	outer := filepath.Join(v.Path, "outer")
	btrfs("subvolume", "create", outer)
	writeFile(t, filepath.Join(outer, "file"), "content")
	btrfs("subvolume", "create", filepath.Join(outer, "inner"))
	writeFile(t, filepath.Join(outer, "inner", "file"), "content")
	btrfs("subvolume", "snapshot", "-r", outer, filepath.Join(v.Path, "snapshot"))
	btrfs("subvolume", "snapshot", "-r", filepath.Join(outer, "inner"), filepath.Join(outer, "snapshot"))

	btrfs("property", "set", v.Path, "ro", "true")

	mustDelete(t, s, v.ID)
	for range 100 { // btrfs clears subvolumes away in the background
		s.purgeAll(t.Context())
		if len(s.Trash()) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	wantNames(t, filepath.Join(base, trashDir))
}

// TestLimitedLeftByPurge purges what a crash has left after the limit was
// given back, and its ID to another volume.
func TestLimitedLeftByPurge(t *testing.T) {
	onLimited(t, func(t *testing.T, base string) {
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, limitedRequest("pvc-1"))
		left := filepath.Join(base, trashDir, "pvc-0.purge."+uuid.NewString())
		mkdirAll(t, left)
		record, err := os.ReadFile(filepath.Join(filepath.Dir(v.Path), recordFile))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(left, recordFile), string(record))
		s.purgeAll(t.Context())
		wantTrash(t, s)
		data, err := os.Open(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer data.Close()
		limits, _ := only(t, s).limiter()
		if limit, _, err := limits.Get(data, v.Quota.ID); err != nil || limit.Bytes < limited {
			t.Errorf("the volume's limit is %+v: %v", limit, err)
		}
	})
}

// TestRemoveSaysWhatMountStops has a file, and a directory, that something is
// mounted on.
func TestRemoveSaysWhatMountStops(t *testing.T) {
	plugin.RequireRoot(t)
	outside := t.TempDir()
	mustWrite := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(filepath.Join(outside, "precious"))
	for name, lay := range map[string]func(path string) (from string){
		"a file": func(path string) string {
			mustWrite(path)
			return filepath.Join(outside, "precious")
		},
		"a directory": func(path string) string {
			mkdirAll(t, path)
			return outside
		},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			path := filepath.Join(top, "tree", "mounted")
			mkdirAll(t, filepath.Dir(path))
			bindMount(t, lay(path), path)
			d, err := dir.Open(top)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.RemoveTree(t.Context(), "tree"); err == nil || !strings.Contains(err.Error(), "unmount it") {
				t.Errorf("error %v, want one that says to unmount it", err)
			}
			if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
				t.Error(err)
			}
			unmountAll(path)
			if err := d.RemoveTree(t.Context(), "tree"); err != nil {
				t.Error(err)
			}
		})
	}
}
