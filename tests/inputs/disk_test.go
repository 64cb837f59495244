package inputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestDiskUnmounted takes a pool's disk away while the plugin runs, as an admin
// does, and brings it back.
func TestDiskUnmounted(t *testing.T) {
	plugin.RequireRoot(t)
	for _, required := range []bool{true, false} {
		t.Run(fmt.Sprintf("requireMountPoint %t", required), func(t *testing.T) {
			base := t.TempDir()
			image := disk.Image(t, "ext4", 16*mebibyte)
			disk.MountImage(t, image, base)
			s := startConfigured(t, base, fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: %t}]", base, required))
			s.Expect("DiskUnusable") // the disk is gone in the end
			id := s.create(t, "pvc-1")
			target := filepath.Join(s.KubeletDir, "target")
			wantCode(t, s.publish(id, target), codes.OK, "")
			if err := os.WriteFile(filepath.Join(target, "precious"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			wantCode(t, s.unpublish(id, target), codes.OK, "")

			// No volume is published: nothing keeps the admin from it.
			retry(t, isBusy, func() error { return unix.Unmount(base, 0) })
			before := snapshot(t, s.root)
			_, err := s.CreateVolume(s.ctx, goodCreate("pvc-2"))
			wantCode(t, err, codes.ResourceExhausted, "is the disk mounted?")
			s.wantNoRoom(t)
			wantCode(t, s.publish(id, target), codes.Unavailable, "is the disk mounted?")
			wantCode(t, s.delete(id), codes.Unavailable, "is the disk mounted?")
			wantSame(t, s.root, before)
			if left := snapshot(t, base); len(left) != 1 {
				t.Errorf("something was written under the mount point: %v", left)
			}

			disk.MountImage(t, image, base)
			retry(t, isUnavailable, func() error { return s.publish(id, target) })
			if _, err := os.Stat(filepath.Join(target, "precious")); err != nil {
				t.Error(err)
			}
			// A volume that is published does not keep the admin from it either,
			// and goes on.
			retry(t, isBusy, func() error { return unix.Unmount(base, 0) })
			if err := os.WriteFile(filepath.Join(target, "written"), nil, 0o644); err != nil {
				t.Error(err)
			}
			wantCode(t, s.unpublish(id, target), codes.OK, "")
			if left := snapshot(t, base); len(left) != 1 {
				t.Errorf("something was written under the mount point: %v", left)
			}
		})
	}
}

// wantNoRoom waits until the plugin offers no room. What it answers is a second
// old at most.
func (s *server) wantNoRoom(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		capacity, err := s.GetCapacity(s.ctx, &csi.GetCapacityRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if capacity.GetAvailableCapacity() == 0 && capacity.GetMaximumVolumeSize().GetValue() == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("capacity of a disk that cannot be used: %v", capacity)
			return
		}
	}
}

// retry repeats what the plugin may fail in the moment in which it looks after
// its pools by itself, as it does every few seconds.
func retry(t *testing.T, passes func(error) bool, do func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if !passes(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

func isUnavailable(err error) bool { return status.Code(err) == codes.Unavailable }

// TestPlainDirectoryRefused configures a disk where there is none.
func TestPlainDirectoryRefused(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	s := startConfigured(t, base, fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: true}]", base))
	s.Expect("DiskUnusable")
	before := snapshot(t, base)
	_, err := s.CreateVolume(s.ctx, goodCreate("pvc-1"))
	wantCode(t, err, codes.ResourceExhausted, "no disk is mounted there")
	s.wantNoRoom(t)
	if diff := cmp.Diff(before, snapshot(t, base)); diff != "" {
		t.Errorf("the directory was written to (-before +after):\n%s", diff)
	}
}
