package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
)

func btrfs(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
		t.Fatalf("btrfs %q: %v\n%s", args, err, out)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestSubvolumeLeftBehind puts in place of a disk what does not have its
// subvolumes, as people do who roll back the subvolume that it is on.
func TestSubvolumeLeftBehind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// replace puts something else in place of the subvolume that the disk is in,
		// which is kept at old.
		replace func(t *testing.T, mount, subvolume, old string)
	}{
		{"a snapshot", func(t *testing.T, mount, subvolume, old string) {
			btrfs(t, "subvolume", "snapshot", subvolume, mount+"/snapshot")
			rename(t, subvolume, old)
			rename(t, mount+"/snapshot", subvolume)
		}},
		{"a snapshot of a snapshot", func(t *testing.T, mount, subvolume, old string) {
			btrfs(t, "subvolume", "snapshot", "-r", subvolume, mount+"/first")
			btrfs(t, "subvolume", "snapshot", mount+"/first", mount+"/second")
			rename(t, subvolume, old)
			rename(t, mount+"/second", subvolume)
		}},
		{"what was sent and received", func(t *testing.T, mount, subvolume, old string) {
			btrfs(t, "subvolume", "snapshot", "-r", subvolume, mount+"/sent")
			if err := os.Mkdir(mount+"/received", 0o700); err != nil {
				t.Fatal(err)
			}
			stream := filepath.Join(t.TempDir(), "stream")
			btrfs(t, "send", "-q", "-f", stream, mount+"/sent")
			btrfs(t, "receive", "-q", "-f", stream, mount+"/received")
			btrfs(t, "property", "set", "-f", mount+"/received/sent", "ro", "false")
			rename(t, subvolume, old)
			rename(t, mount+"/received/sent", subvolume)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mount := disk.MountLimited(t, 256*mebibyte)
			subvolume, old := mount+"/root", mount+"/old"
			btrfs(t, "subvolume", "create", subvolume)
			base := subvolume + "/pool"
			mkdirAll(t, base)
			config := fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 1h}]", base)
			s := openStore(t, config)
			v, deleted := mustCreate(t, s, request("pvc-1")), mustCreate(t, s, request("pvc-2"))
			unlimited := request("pvc-3")
			unlimited.Class.Quota = "off"
			plain := mustCreate(t, s, unlimited)
			for _, v := range []Volume{v, deleted, plain} {
				writeFile(t, v.Path+"/file", "data of "+v.Name)
			}
			mustDelete(t, s, deleted.ID)
			disk.Sync(t, mount)

			test.replace(t, mount, subvolume, old)
			s = openStore(t, config)
			calls := map[string]func(id string) error{
				"publish": func(id string) error { return s.WithData(t.Context(), id, anyUse) },
				"delete":  func(id string) error { return s.Delete(t.Context(), id, anyUse) },
				"stats":   func(id string) error { _, err := s.Stats(t.Context(), id, anyUse); return err },
				"expand":  func(id string) error { _, err := s.Expand(t.Context(), id, 8*mebibyte, 0); return err },
				"expand to what it has": func(id string) error {
					_, err := s.Expand(t.Context(), id, v.CapacityBytes, 0)
					return err
				},
			}
			for name, call := range calls {
				if err := call(v.ID); !errors.Is(err, errSubvolumeLeftBehind) {
					t.Errorf("%s: error %v, want %v", name, err, errSubvolumeLeftBehind)
				}
			}
			if _, _, err := s.Undelete(t.Context(), deleted.ID); !errors.Is(err, errSubvolumeLeftBehind) {
				t.Errorf("undelete: error %v, want %v", err, errSubvolumeLeftBehind)
			}
			wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "SubvolumeLeftBehind volumes/pvc-1")

			// What is no subvolume came along.
			for _, name := range []string{"publish", "expand"} {
				if err := calls[name](plain.ID); err != nil {
					t.Errorf("%s of a plain directory: %v", name, err)
				}
			}

			// The cure that is advised.
			if err := os.Remove(v.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			rename(t, old+"/pool/volumes/pvc-1/data", v.Path)
			for name, call := range calls {
				if name == "delete" {
					continue
				}
				if err := call(v.ID); err != nil {
					t.Errorf("%s with its data back: %v", name, err)
				}
			}
			if data, err := os.ReadFile(v.Path + "/file"); err != nil || !bytes.Equal(data, []byte("data of pvc-1")) {
				t.Errorf("its file holds %q (%v)", data, err)
			}
			wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
			mustDelete(t, s, v.ID)
		})
	}
}

// TestCopiedSubvolume deletes and publishes a volume whose data was copied, as cp
// does it: a plain directory in place of a subvolume.
func TestCopiedSubvolume(t *testing.T) {
	t.Parallel()
	base := disk.MountLimited(t, 256*mebibyte)
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	rename(t, v.Path, base+"/volumes/pvc-1/data.was")
	mkdirAll(t, v.Path)
	writeFile(t, v.Path+"/file", "data")
	btrfs(t, "subvolume", "delete", base+"/volumes/pvc-1/data.was")
	if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
		t.Error(err)
	}
	mustDelete(t, s, v.ID)
}
