package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
)

// rolledBack makes volumes on a disk in a subvolume, lets the caller do something
// with them, and rolls the subvolume back to a snapshot of then. The old one is at
// old.
func rolledBack(t *testing.T, prepare func(s *Store)) (s *Store, base, old string) {
	t.Helper()
	mount := disk.MountLimited(t, 256*mebibyte)
	root, old := mount+"/root", mount+"/old"
	btrfs(t, "subvolume", "create", root)
	base = root + "/pool"
	mkdirAll(t, base)
	config := fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 1h}]", base)
	prepare(openStore(t, config))
	disk.Sync(t, mount)
	btrfs(t, "subvolume", "snapshot", root, mount+"/snapshot")
	rename(t, root, old)
	rename(t, mount+"/snapshot", root)
	return openStore(t, config), base, old + "/pool"
}

// TestSubvolumeLeftBehindIsNamed wants to read where the data is.
func TestSubvolumeLeftBehindIsNamed(t *testing.T) {
	t.Parallel()
	var v Volume
	s, base, old := rolledBack(t, func(s *Store) { v = mustCreate(t, s, request("pvc-1")) })
	want := fmt.Sprintf("its subvolume %d is old/pool/volumes/pvc-1/data below", v.Quota.ID)
	if err := s.WithData(t.Context(), v.ID, anyUse); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
	report := mustCheck(t, s, nothingMounted)
	wantFindings(t, base, report.Findings, "SubvolumeLeftBehind volumes/pvc-1")
	if !strings.Contains(report.Findings[0].Problem, want) {
		t.Errorf("finding %+v, want %q in it", report.Findings[0], want)
	}
	// Nobody takes another subvolume for the volume's.
	rename(t, filepath.Join(old, volumesDir, "pvc-1"), filepath.Join(old, "elsewhere"))
	if err := s.WithData(t.Context(), v.ID, anyUse); err == nil || strings.Contains(err.Error(), "its subvolume") {
		t.Errorf("error %v names a subvolume that may be another", err)
	}
}

// TestSubvolumeLeftBehindIsPurged purges what is none of the subvolumes that the
// records name: those stay as they are, and the trash gets empty.
func TestSubvolumeLeftBehindIsPurged(t *testing.T) {
	t.Parallel()
	var deleted, lost Volume
	s, base, old := rolledBack(t, func(s *Store) {
		deleted, lost = mustCreate(t, s, request("pvc-1")), mustCreate(t, s, request("pvc-2"))
		writeFile(t, lost.Path+"/file", "data")
		mustDelete(t, s, deleted.ID)
	})
	if err := os.Remove(lost.Path); err != nil {
		t.Fatal(err)
	}
	mkdirAll(t, lost.Path) // as the message advises
	if err := s.WithData(t.Context(), lost.ID, anyUse); err != nil {
		t.Errorf("an empty directory in place of the data: %v", err)
	}
	mustDelete(t, s, lost.ID)
	for _, v := range []Volume{deleted, lost} {
		if _, err := s.Purge(t.Context(), v.ID); err != nil {
			t.Error(err)
		}
	}
	s.purgeAll(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
	if len(s.Trash()) != 0 {
		t.Errorf("in the trash: %+v", s.Trash())
	}
	if data, err := os.ReadFile(filepath.Join(old, volumesDir, "pvc-2/data/file")); err != nil || string(data) != "data" {
		t.Errorf("the file in the old subvolume holds %q: %v", data, err)
	}
}

// TestSubvolumeLeftBehindIsLoggedOnce counts a volume again and again that cannot be
// counted, and then another way.
func TestSubvolumeLeftBehindIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var v Volume
	s, _, _ := rolledBack(t, func(s *Store) { v = mustCreate(t, s, request("pvc-1")) })
	ctx, log := logged(t)
	rounds := func(says string) {
		t.Helper()
		log.Reset()
		for range 3 {
			s.count(ctx, only(t, s))
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), says) {
			t.Errorf("%d lines in the log, want one with %q:\n%s", n, says, log)
		}
	}
	rounds(errSubvolumeLeftBehind.Error())
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	mkdirAll(t, v.Path)
	rounds("is not a subvolume")
}

// TestPoolLeftBehind rolls back what the disk's own subvolume is in: the stub in its
// place is neither an empty directory nor a disk.
func TestPoolLeftBehind(t *testing.T) {
	t.Parallel()
	mount := disk.MountLimited(t, 256*mebibyte)
	root, old := mount+"/root", mount+"/old"
	btrfs(t, "subvolume", "create", root)
	base := root + "/pool"
	btrfs(t, "subvolume", "create", base)
	config := onePool(base)
	s := openStore(t, config)
	v := mustCreate(t, s, request("pvc-1"))
	disk.Sync(t, mount)
	btrfs(t, "subvolume", "snapshot", root, mount+"/snapshot")
	rename(t, root, old)
	rename(t, mount+"/snapshot", root)

	s.refresh(t.Context())
	restarted := openStore(t, config) // one that knows nothing of the past
	for _, s := range []*Store{s, restarted} {
		wantRefused(t, s, base, Absent, "in place of a btrfs subvolume")
		if _, err := s.Plan(t.Context(), Init, base); err == nil || !strings.Contains(err.Error(), "in place of a btrfs subvolume") {
			t.Errorf("init of it: %v", err)
		}
	}
	wantNames(t, base)

	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	rename(t, old+"/pool", base)
	for _, s := range []*Store{s, restarted} {
		s.refresh(t.Context())
		if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
			t.Errorf("with the subvolume back: %v", err)
		}
	}
}
