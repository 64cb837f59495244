package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// guardedPool is onePool with requireMountPoint.
func guardedPool(path string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: true}]", path)
}

func TestRequireMountPointRefuses(t *testing.T) {
	for _, test := range []struct {
		name, says string
		lay        func(t *testing.T, base string)
	}{
		{"a plain directory", "no disk is mounted there", func(*testing.T, string) {}},
		{"a bind mount of one", "only the directory", func(t *testing.T, base string) {
			bindMount(t, t.TempDir(), base)
		}},
		{"a bind mount of one on btrfs", "only the directory", func(t *testing.T, base string) {
			plain := filepath.Join(disk.Mount(t, "btrfs", 128*mebibyte), "plain")
			mkdirAll(t, plain)
			bindMount(t, plain, base)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			base := t.TempDir()
			test.lay(t, base)
			s := openStore(t, guardedPool(base))
			if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			_, err := s.Create(t.Context(), request("pvc-1"))
			wantClass(t, err, errdefs.ErrNoSpace)
			wantNames(t, base)
		})
	}
}

func TestRequireMountPointTakesDisks(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 16*mebibyte)
	// What a hostPath volume makes of the disk in a container.
	shown := t.TempDir()
	bindMount(t, mounted, shown)
	for _, base := range []string{mounted, shown} {
		s := openStore(t, guardedPool(base))
		if err := brokenBecause(t, s); err != nil {
			t.Fatalf("%s: %v", base, err)
		}
		mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	}
	// A directory of the disk is none.
	s := openStore(t, guardedPool(filepath.Join(mounted, volumesDir)))
	if brokenBecause(t, s) == nil {
		t.Error("a directory of a disk is taken for the disk")
	}
}

func TestRequireMountPointWaitsForDisk(t *testing.T) {
	base := t.TempDir()
	plugin.RequireRoot(t)
	s := openStore(t, guardedPool(base))
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	s.refresh(t.Context())
	mustCreate(t, s, request("pvc-1"))
}

// TestDiskUnmountedWhileRunning takes a pool's disk away, and brings it back.
func TestDiskUnmountedWhileRunning(t *testing.T) {
	plugin.RequireRoot(t)
	for name, config := range map[string]func(string) string{
		"mount point required":     guardedPool,
		"mount point not required": func(path string) string { return onePool(path) },
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			image := disk.Image(t, "ext4", 16*mebibyte)
			disk.MountImage(t, image, base)
			s := openStore(t, config(base))
			v := mustCreate(t, s, request("pvc-1"))
			if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
				t.Fatal(err)
			}
			mustUnmount(t, base)

			wantUnusable(t, s, v.ID) // at once
			s.refresh(t.Context())
			wantUnusable(t, s, v.ID)
			s.purgeAll(t.Context())
			// Nobody knows whether the volume is gone.
			_, err := s.Create(t.Context(), request("pvc-1"))
			wantClass(t, err, errdefs.ErrUnavailable)
			wantNames(t, base)
			if len(s.Volumes()) != 0 {
				t.Error("volumes of an absent disk are listed")
			}

			disk.MountImage(t, image, base)
			s.refresh(t.Context())
			if again := mustCreate(t, s, request("pvc-1")); again.ID != v.ID {
				t.Errorf("the volume is %s now, it was %s", again.ID, v.ID)
			}
			mustDelete(t, s, v.ID)
			mustUnmount(t, base)
		})
	}
}

// TestDiskAbsentAtStart starts without a pool's disk on a node that has never seen
// it. Without requireMountPoint the directory below would be taken for an empty
// pool: that is what the option is for.
func TestDiskAbsentAtStart(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	image := disk.Image(t, "ext4", 16*mebibyte)
	disk.MountImage(t, image, base)
	s := openStore(t, guardedPool(base))
	v := mustCreate(t, s, request("pvc-1"))
	mustUnmount(t, base)
	s = openStore(t, guardedPool(base))
	wantUnusable(t, s, v.ID)
	wantNames(t, base)
	disk.MountImage(t, image, base)
	s.refresh(t.Context())
	if _, err := s.Volume(t.Context(), v.ID); err != nil {
		t.Error(err)
	}
}

// TestDiskReplacedWhileRunning mounts another, empty disk in a disk's place.
func TestDiskReplacedWhileRunning(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 16*mebibyte)
	s := openStore(t, guardedPool(base))
	v := mustCreate(t, s, request("pvc-1"))
	mustUnmount(t, base)
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), base)
	wantUnusable(t, s, v.ID)
	s.refresh(t.Context())
	wantUnusable(t, s, v.ID)
	wantNames(t, base, "lost+found")
	if _, err := os.Stat(filepath.Join(base, markerFile)); err == nil {
		t.Error("the other disk was made a pool")
	}
}
