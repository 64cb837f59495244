package store

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

func TestCheckMounts(t *testing.T) {
	s, base := newStore(t)
	v := createFor(t, s, "pvc-1", www)
	const at = "/pod/mount"
	for _, test := range []struct {
		name  string
		mount dir.Mount
		finds []string
	}{
		{"published", dir.Mount{Source: "volumes/pvc-1/data", Restricted: true}, nil},
		{"a directory of it", dir.Mount{Source: "volumes/pvc-1/data/sub", Restricted: true}, nil},
		{"a directory that the pod removed", dir.Mount{Source: "volumes/pvc-1/data/sub//deleted", Restricted: true}, nil},
		{"all volumes", dir.Mount{Source: "volumes"}, nil},
		{"a link's directory", dir.Mount{Source: "claims/shop"}, nil},
		{"with devices", dir.Mount{Source: "volumes/pvc-1/data"}, []string{"UnsafeMount pod/mount"}},
		{"of a volume that is gone", dir.Mount{Source: "volumes/pvc-7/data", Restricted: true}, []string{"OrphanMount pod/mount"}},
		{"of a volume whose data was replaced", dir.Mount{Source: "volumes/pvc-1/data//deleted", Restricted: true}, []string{"OrphanMount pod/mount"}},
		{"of a deleted volume", dir.Mount{Source: "trash/pvc-7.1/data", Restricted: true}, []string{"OrphanMount pod/mount"}},
		{"inside a volume", dir.Mount{Within: "volumes/pvc-1/data/deep", Restricted: true}, []string{"MountInside volumes/pvc-1/data/deep"}},
		{"of a volume in another", dir.Mount{Within: "volumes/pvc-1/data/deep", Source: "volumes/pvc-1/data"},
			[]string{"MountInside volumes/pvc-1/data/deep", "UnsafeMount pod/mount"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.mount.Target, test.mount.ID = at, 7
			table := func(pool *os.File) ([]dir.Mount, error) {
				if pool.Name() != base {
					t.Errorf("asked for the mounts of %s", pool.Name())
				}
				return []dir.Mount{test.mount}, nil
			}
			wantFindings(t, base, mustCheck(t, s, table).Findings, test.finds...)
			repaired, left, err := s.Repair(t.Context(), table)
			if err != nil || len(repaired) > 0 {
				t.Errorf("repaired %+v, %v", repaired, err)
			}
			wantFindings(t, base, left.Findings, test.finds...)
		})
	}

	t.Run("unmounted meanwhile", func(t *testing.T) {
		asked := 0
		found := mustCheck(t, s, func(*os.File) ([]dir.Mount, error) {
			asked++
			if asked == 1 {
				return []dir.Mount{{Target: at, Source: "volumes/pvc-7/data", Restricted: true}}, nil
			}
			return nil, nil
		}).Findings
		wantFindings(t, base, found)
	})
	t.Run("no mount table", func(t *testing.T) {
		found := mustCheck(t, s, func(*os.File) ([]dir.Mount, error) { return nil, os.ErrPermission }).Findings
		wantFindings(t, base, found, "Unreadable ")
	})
	t.Run("over the data", func(t *testing.T) {
		bindMount(t, t.TempDir(), v.Path)
		found := mustCheck(t, s, func(*os.File) ([]dir.Mount, error) {
			return []dir.Mount{{Target: v.Path, Within: "volumes/pvc-1/data", Restricted: true}}, nil
		}).Findings
		wantFindings(t, base, found, "MountInside volumes/pvc-1/data")
	})
}

// TestCheckReleasesDisk checks again and again while the admin's umount succeeds
// at once after each.
func TestCheckReleasesDisk(t *testing.T) {
	base := mountTmpfs(t, "")
	s := openStore(t, onePool(base))
	createFor(t, s, "pvc-1", www)
	writeFile(t, filepath.Join(base, "photo"), "")
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "ForeignFile photo")
	mustUnmount(t, base)
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "DiskUnusable ")
}

func TestCheckFullAndReadOnly(t *testing.T) {
	base := mountTmpfs(t, "nr_inodes=64")
	s := openStore(t, onePool(base))
	createFor(t, s, "pvc-1", www)
	for {
		if f, err := os.CreateTemp(filepath.Join(base, "volumes/pvc-1/data"), ""); err != nil {
			break
		} else {
			f.Close()
		}
	}
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "NoInodes ")
	remount(t, base, unix.MS_RDONLY, "")
	if err := os.Remove(filepath.Join(base, "volumes/pvc-1/data")); err == nil {
		t.Error("it is not read-only")
	}
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings, "ReadOnly ")
}

func TestCheckTrash(t *testing.T) {
	base := mountTmpfs(t, "")
	s := openStore(t, onePool(base))
	v := createFor(t, s, "pvc-1", www)
	stays := filepath.Join(v.Path, "stays")
	mkdirAll(t, stays)
	if err := unix.Mount("tmpfs", stays, "tmpfs", 0, ""); err != nil { // goes with the disk
		t.Fatal(err)
	}
	mustDelete(t, s, v.ID)
	wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
	s.purgeAll(t.Context())
	entries, err := os.ReadDir(filepath.Join(base, trashDir))
	if err != nil || len(entries) != 1 {
		t.Fatalf("the trash holds %v, %v", entries, err)
	}
	found := mustCheck(t, s, nothingMounted).Findings
	wantFindings(t, base, found, "TrashStuck trash/"+entries[0].Name())
	if len(found) == 1 && found[0].VolumeID != v.ID { // the record may be gone already
		t.Errorf("whose it was is not said: %+v", found[0])
	}
}
