package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// subPathPool is guardedPool with disks in a directory of what is mounted.
func subPathPool(path string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: true, subPath: hostdir}]", path)
}

// TestSubPathGuard shares a filesystem with other files. While it is not mounted
// hostdir writes nothing, whatever is below.
func TestSubPathGuard(t *testing.T) {
	for _, filesystem := range []struct {
		name string
		size int64
	}{{"ext4", 16 * mebibyte}, {"xfs", 300 * mebibyte}, {"btrfs", 128 * mebibyte}} {
		t.Run(filesystem.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			top := t.TempDir()
			below := filepath.Join(top, "hostdir") // as an earlier start may have left it
			mkdirAll(t, below)
			image := disk.Image(t, filesystem.name, filesystem.size)

			s := openStore(t, subPathPool(top))
			wantRefused := func(when, says string) {
				t.Helper()
				s.refresh(t.Context())
				status := s.Status()
				if len(status) != 1 || status[0].Reason != Absent || !strings.Contains(status[0].Err.Error(), says) {
					t.Errorf("%s: disks %+v, want %q, and that it says %q", when, status, Absent, says)
				}
				_, err := s.Create(t.Context(), request("pvc-other"))
				wantClass(t, err, errdefs.ErrNoSpace)
			}
			wantRefused("before the disk is mounted", "no disk is mounted there")
			wantNames(t, below)

			disk.MountImage(t, image, top)
			writeFile(t, filepath.Join(top, "README"), "also of others")
			wantRefused("without the directory", "mkdir -p "+below)
			if filesystem.name == "btrfs" { // a subvolume is no other mount
				if out, err := exec.Command("btrfs", "subvolume", "create", below).CombinedOutput(); err != nil {
					t.Fatalf("btrfs: %v\n%s", err, out)
				}
			}
			mkdirAll(t, below)
			s.refresh(t.Context())
			v := mustCreate(t, s, request("pvc-1"))
			if want := filepath.Join(below, volumesDir, "pvc-1", dataDir); v.Path != want {
				t.Errorf("the volume is at %s, want %s", v.Path, want)
			}

			mustUnmount(t, top)
			wantUnusable(t, s, v.ID)
			wantRefused("unmounted", "no disk is mounted there")
			s = reopen(t, s)
			wantUnusable(t, s, v.ID)
			wantRefused("unmounted, after a restart", "no disk is mounted there")
			wantNames(t, below)

			other := disk.Image(t, "ext4", 16*mebibyte)
			disk.MountImage(t, other, top)
			mkdirAll(t, below)
			wantRefused("another disk", "is the disk mounted?")
			wantNames(t, below)
			obey(t, s, Init, below)
			mustDelete(t, s, mustCreate(t, s, request("pvc-other")).ID)
			mustUnmount(t, top)

			disk.MountImage(t, image, top)
			s.refresh(t.Context())
			mustDelete(t, s, v.ID)
			if content, err := os.ReadFile(filepath.Join(top, "README")); err != nil || string(content) != "also of others" {
				t.Errorf("the others' file holds %q (%v)", content, err)
			}
			mustUnmount(t, top)
		})
	}
}

// TestSubPathOfGlob has disks come below a folder, as a container sees it: the
// folder is the host's, and what the host mounts there arrives.
func TestSubPathOfGlob(t *testing.T) {
	plugin.RequireRoot(t)
	host, container := t.TempDir(), t.TempDir()
	for _, step := range []struct {
		from, to string
		flags    uintptr
	}{{host, host, unix.MS_BIND}, {"", host, unix.MS_SHARED}, {host, container, unix.MS_BIND}, {"", container, unix.MS_SLAVE}} {
		if err := unix.Mount(step.from, step.to, "", step.flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { unmountAll(container); unmountAll(host) })
	for _, name := range []string{"sda/hostdir", "sdb/hostdir", ".snapshots/hostdir"} {
		mkdirAll(t, filepath.Join(host, name))
	}
	s := openStore(t, subPathPool(filepath.Join(container, "*")))
	wantUsed := func(want ...string) {
		t.Helper()
		s.refresh(t.Context())
		var got []string
		for _, x := range s.Status() {
			name, err := filepath.Rel(container, x.Path)
			switch {
			case err != nil:
				t.Fatal(err)
			case x.Err == nil:
				got = append(got, name)
			case x.Reason != Absent:
				t.Errorf("%s: %v", x.Path, x.Err)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(s.Status()) != 2 {
			t.Errorf("disks in use %q of %d, want %q of 2", got, len(s.Status()), want)
		}
	}
	wantUsed()
	image := disk.Image(t, "ext4", 16*mebibyte)
	disk.MountImage(t, image, filepath.Join(host, "sdb"))
	mkdirAll(t, filepath.Join(host, "sdb/hostdir"))
	wantUsed("sdb/hostdir")
	v := mustCreate(t, s, request("pvc-1"))
	mustUnmount(t, filepath.Join(host, "sdb"))
	wantUsed()
	wantUnusable(t, s, v.ID)
	wantNames(t, filepath.Join(host, "sdb/hostdir"))
	disk.MountImage(t, image, filepath.Join(host, "sda")) // disks may change places
	wantUsed("sda/hostdir")
	mustDelete(t, s, v.ID)
	mustUnmount(t, filepath.Join(host, "sda"))
}

// TestTwoPoolsOnOneFilesystem gives each a directory of its own. They share room.
func TestTwoPoolsOnOneFilesystem(t *testing.T) {
	plugin.RequireRoot(t)
	top := disk.Mount(t, "ext4", 16*mebibyte)
	mkdirAll(t, filepath.Join(top, "a"))
	mkdirAll(t, filepath.Join(top, "b"))
	s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: true, subPath: a}, {name: b, paths: [%q], requireMountPoint: true, subPath: b}]", top, top))
	before := s.Status()
	if len(before) != 2 || before[0].Err != nil || before[1].Err != nil {
		t.Fatalf("disks %+v, want two in use", before)
	}
	mustCreate(t, s, request("pvc-1"))
	s.sampleAll()
	if after := s.Status(); after[1].Space.AvailableBytes > before[1].Space.AvailableBytes-mebibyte {
		t.Errorf("pool b has %d bytes, and had %d before 1 MiB was allocated in the other", after[1].Space.AvailableBytes, before[1].Space.AvailableBytes)
	}
}
