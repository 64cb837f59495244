package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// bothWays runs a test in which the store learns of a change to its disks while
// it runs, and one in which it does by a start.
func bothWays(t *testing.T, test func(t *testing.T, again func(*Store) *Store)) {
	plugin.RequireRoot(t)
	t.Run("while running", func(t *testing.T) {
		test(t, func(s *Store) *Store {
			s.refresh(t.Context())
			return s
		})
	})
	t.Run("by a start", func(t *testing.T) {
		test(t, func(s *Store) *Store { return reopen(t, s) })
	})
}

func smallImage(t *testing.T) string { return disk.Image(t, "ext4", 16*mebibyte) }

// wantRefused checks why the store does not use the disk at a path.
func wantRefused(t *testing.T, s *Store, path string, kind pkgdisk.Reason, says string) {
	t.Helper()
	for _, status := range s.Status() {
		if status.Path != path {
			continue
		}
		if status.Reason != kind || status.Err == nil || !strings.Contains(status.Err.Error(), says) {
			t.Errorf("%s is refused as %q: %v; want %q, and that it says %q", path, status.Reason, status.Err, kind, says)
		}
		return
	}
	t.Errorf("there is no disk %s", path)
}

// wantVolume checks that a volume can be used, and where it is.
func wantVolume(t *testing.T, s *Store, volumeID, base string) {
	t.Helper()
	v, err := s.Volume(t.Context(), volumeID)
	if err != nil {
		t.Error(err)
	} else if !strings.HasPrefix(v.Path, base+"/") {
		t.Errorf("the volume is at %s, want it below %s", v.Path, base)
	}
}

// TestDiskAbsent is without requireMountPoint: it is from memory that the store
// knows the directory below for what it is.
func TestDiskAbsent(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, image := t.TempDir(), smallImage(t)
		disk.MountImage(t, image, base)
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, request("pvc-1"))
		mustUnmount(t, base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Absent, "is the disk mounted?")
		wantRefused(t, s, base, Absent, "hostdir disks init "+base)
		wantNames(t, base)
		disk.MountImage(t, image, base)
		s.refresh(t.Context())
		wantVolume(t, s, v.ID, base)
	})
}

// TestDisksAbsent holds that each volume's error names its own disk.
func TestDisksAbsent(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		paths := []string{t.TempDir(), t.TempDir(), t.TempDir()}
		for _, base := range paths {
			disk.MountImage(t, smallImage(t), base)
		}
		s := openStore(t, onePool(paths...))
		volumes := map[string]string{} // IDs by path
		for i := range paths {         // each goes to the one with the most room
			v := mustCreate(t, s, request(fmt.Sprintf("pvc-%d", i)))
			volumes[strings.TrimSuffix(v.Path, "/volumes/"+v.Name+"/data")] = v.ID
		}
		if len(volumes) != len(paths) {
			t.Fatalf("the volumes are on %v, want one on each disk", volumes)
		}
		for _, base := range paths {
			mustUnmount(t, base)
		}
		s = again(s)
		for base, id := range volumes {
			_, err := s.Volume(t.Context(), id)
			wantClass(t, err, errdefs.ErrUnavailable)
			if err == nil || !strings.Contains(err.Error(), "disk "+base+": ") {
				t.Errorf("the volume on %s is away because: %v", base, err)
			}
		}
	})
}

// TestPoolBelowDisk unmounts a disk below which another was made by mistake, before
// the disk was there.
func TestPoolBelowDisk(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base := t.TempDir()
		s := openStore(t, onePool(base))
		mistake := mustCreate(t, s, request("pvc-1"))
		disk.MountImage(t, smallImage(t), base)
		s = again(s)
		wantUnusable(t, s, mistake.ID)
		obey(t, s, Init, base)
		v := mustCreate(t, s, request("pvc-2"))
		mustUnmount(t, base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Absent, "no disk is mounted there")
		obey(t, s, Accept, base)
		wantVolume(t, s, mistake.ID, base)
		s = again(s)
		wantVolume(t, s, mistake.ID, base)
	})
}

func TestDirectoryGone(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base := filepath.Join(t.TempDir(), "pool")
		mkdirAll(t, base)
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, request("pvc-1"))
		if err := os.Rename(base, base+".away"); err != nil {
			t.Fatal(err)
		}
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Absent, "not there")
		if _, err := os.Lstat(base); !os.IsNotExist(err) {
			t.Errorf("the directory was made: %v", err)
		}
	})
}

func TestDiskReplacedByEmpty(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, old := t.TempDir(), smallImage(t)
		disk.MountImage(t, old, base)
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, request("pvc-1"))
		mustUnmount(t, base)
		disk.MountImage(t, smallImage(t), base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantRefused(t, s, base, Absent, "now there is an empty directory on ext4")
		wantNames(t, base, "lost+found")

		obey(t, s, Init, base)
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrWrongNode)
		mine := mustCreate(t, s, request("pvc-2"))
		s = again(s)
		wantVolume(t, s, mine.ID, base)

		// The old disk is one of this node's.
		mustUnmount(t, base)
		disk.MountImage(t, old, base)
		s = again(s)
		wantVolume(t, s, v.ID, base)
		wantClass(t, s.Delete(t.Context(), mine.ID, anyUse), errdefs.ErrWrongNode)
	})
}

func TestDiskExchanged(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base, old, other := t.TempDir(), smallImage(t), smallImage(t)
		disk.MountImage(t, other, base)
		theirs := mustCreate(t, openStore(t, onePool(base)), request("pvc-1")) // on another node
		mustUnmount(t, base)
		disk.MountImage(t, old, base)
		s := openStore(t, onePool(base))
		v := mustCreate(t, s, request("pvc-1"))
		mustUnmount(t, base)

		disk.MountImage(t, other, base)
		before := filesOf(t, base)
		s = again(s)
		wantUnusable(t, s, v.ID)
		wantUnusable(t, s, theirs.ID)
		wantRefused(t, s, base, Exchanged, "hostdir disks accept "+base)
		if after := filesOf(t, base); after != before {
			t.Errorf("the other disk was %q, and is %q", before, after)
		}

		done := obey(t, s, Accept, base)
		if done.Volumes != 1 || !strings.HasPrefix(theirs.ID, done.UUID) {
			t.Errorf("done is %+v", done)
		}
		s = again(s)
		wantVolume(t, s, theirs.ID, base)
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrWrongNode)
		if n := len(s.Volumes()); n != 1 {
			t.Errorf("%d volumes are listed, want 1", n)
		}

		mustUnmount(t, base)
		disk.MountImage(t, old, base)
		s = again(s)
		wantVolume(t, s, v.ID, base)
	})
}

func TestDisksSwapped(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		a, b := t.TempDir(), t.TempDir()
		one, two := smallImage(t), smallImage(t)
		disk.MountImage(t, one, a)
		disk.MountImage(t, two, b)
		s := openStore(t, onePool(a, b))
		var ids []string // of the volume on each
		for i, name := range []string{"pvc-1", "pvc-2"} {
			writeFile(t, s.configFile, onePool([]string{a, b}[i]))
			s.reload(t.Context())
			s.refresh(t.Context())
			ids = append(ids, mustCreate(t, s, request(name)).ID)
		}
		writeFile(t, s.configFile, onePool(a, b))
		s.reload(t.Context())
		s = again(s)
		wantVolume(t, s, ids[0], a)
		wantVolume(t, s, ids[1], b)

		mustUnmount(t, a)
		mustUnmount(t, b)
		disk.MountImage(t, one, b)
		s = again(s) // the other one comes later
		wantVolume(t, s, ids[0], b)
		wantRefused(t, s, a, Absent, "is the disk mounted?")
		disk.MountImage(t, two, a)
		s = again(s)
		wantVolume(t, s, ids[0], b)
		wantVolume(t, s, ids[1], a)
		mustDelete(t, s, ids[0])
	})
}

// TestForeignDiskUnmounted takes away a disk that was refused: what is below it is
// not an empty directory that was meant.
func TestForeignDiskUnmounted(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base := disk.Mount(t, "ext4", 16*mebibyte)
		writeFile(t, filepath.Join(base, "photo"), "")
		s := openStore(t, onePool(base))
		wantRefused(t, s, base, Faulty, "photo")
		mustUnmount(t, base)
		s = again(s)
		wantRefused(t, s, base, Absent, "a foreign directory on ext4")
		wantNames(t, base)
		// Which disk is meant for a first pool there, only an operator knows.
		disk.MountImage(t, smallImage(t), base)
		s = again(s)
		wantRefused(t, s, base, Absent, "hostdir disks init "+base)
	})
}

// TestForeignFilesRemoved begins with files that were in the way.
func TestForeignFilesRemoved(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		base := t.TempDir()
		photo := filepath.Join(base, "photo")
		writeFile(t, photo, "")
		s := openStore(t, onePool(base))
		wantRefused(t, s, base, Faulty, "photo")
		if err := os.Remove(photo); err != nil {
			t.Fatal(err)
		}
		mustCreate(t, again(s), request("pvc-1"))
	})
}

// TestDiskEmptied removes all of a disk's files, as one does who begins anew.
func TestDiskEmptied(t *testing.T) {
	bothWays(t, func(t *testing.T, again func(*Store) *Store) {
		s, base := newStore(t)
		v := mustCreate(t, s, request("pvc-1"))
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
		mkdirAll(t, base)
		s = again(s)
		if err := brokenBecause(t, s); err != nil {
			t.Fatal(err)
		}
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrWrongNode)
		if n := len(s.Volumes()); n != 0 {
			t.Errorf("%d volumes are listed, want none", n)
		}
		if again := mustCreate(t, s, request("pvc-1")); again.ID == v.ID {
			t.Error("the new pool is called as the old one")
		}
	})
}

// TestDiskMovesBack changes a disk while it is at another path: what was known
// of it at the first path is out of date.
func TestDiskMovesBack(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	mkdirAll(t, a)
	s := openStore(t, onePool(a, b))
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		s.refresh(t.Context())
	}
	gone := mustCreate(t, s, request("pvc-1"))
	move(a, b)
	mustDelete(t, s, gone.ID)
	v := mustCreate(t, s, request("pvc-2"))
	move(b, a)
	all := s.Volumes()
	if len(all) != 1 || all[0].ID != v.ID {
		t.Errorf("volumes %+v, want only %s", all, v.ID)
	}
}

// TestDiskUsedElsewhere brings a disk back that was changed meanwhile.
func TestDiskUsedElsewhere(t *testing.T) {
	plugin.RequireRoot(t)
	base, image := t.TempDir(), smallImage(t)
	disk.MountImage(t, image, base)
	s := openStore(t, onePool(base))
	mustUnmount(t, base)
	s.refresh(t.Context())
	disk.MountImage(t, image, base)
	v := mustCreate(t, openStore(t, onePool(base)), request("pvc-1"))
	mustUnmount(t, base)
	disk.MountImage(t, image, base)
	s.refresh(t.Context())
	if all := s.Volumes(); len(all) != 1 || all[0].ID != v.ID {
		t.Errorf("volumes %+v, want %s", all, v.ID)
	}
}
