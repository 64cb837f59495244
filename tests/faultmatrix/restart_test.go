package faultmatrix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestReboot has mounts end with the node, while kubelet's directories stay.
func TestReboot(t *testing.T) {
	plugin.RequireRoot(t)
	image, base := disk.Image(t, "ext4", 64*mebibyte), t.TempDir()
	disk.MountImage(t, image, base)
	s := start(t, base)
	ids := map[string]string{} // by target path
	for i := range 5 {
		target := s.target(fmt.Sprintf("target-%d", i))
		ids[target] = s.create(t, fmt.Sprintf("pvc-%d", i))
		plugin.WantCode(t, "publish", s.Publish(s.ctx, ids[target], target), codes.OK)
		write(t, filepath.Join(target, "precious"), target)
	}
	s.Signal(t, syscall.SIGKILL)
	disk.UnmountBelow(t, s.KubeletDir)
	if err := unix.Unmount(base, 0); err != nil {
		t.Fatal(err)
	}

	run(t, "mount", "-o", "loop", image, base)
	s.run(t)
	for target, id := range ids {
		for range 2 { // kubelet may ask again
			plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
		}
		wantContent(t, filepath.Join(target, "precious"), target)
	}
	if n := len(disk.MountsBelow(t, s.KubeletDir)); n != len(ids) {
		t.Errorf("%d mounts for %d volumes", n, len(ids))
	}
	for target, id := range ids {
		plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
		plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
	}
	s.waitPurged(t)
}

// TestRestartUnderLoad ends the program again and again, gently and not, while a
// pod writes.
func TestRestartUnderLoad(t *testing.T) {
	s := start(t, "")
	id, target := s.create(t, "pvc-1"), s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
	mountID := mountOf(t, target)

	var stop atomic.Bool
	var written atomic.Int64
	failed := make(chan error, 1)
	go func() {
		failed <- func() error {
			log, err := os.Create(filepath.Join(target, "log"))
			if err != nil {
				return err
			}
			defer log.Close()
			for n := 0; !stop.Load(); n++ {
				_, err := fmt.Fprintln(log, n)
				path := filepath.Join(target, fmt.Sprint("file-", n%10))
				if err := errors.Join(err, log.Sync(), os.WriteFile(path, []byte(fmt.Sprint(n)), 0o600)); err != nil {
					return err
				}
				written.Add(1)
			}
			return nil
		}()
	}()
	for i := range 6 {
		before := written.Load()
		s.Signal(t, []os.Signal{syscall.SIGTERM, syscall.SIGKILL}[i%2])
		for deadline := time.Now().Add(30 * time.Second); written.Load() < before+5 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		s.run(t)
		plugin.WantCode(t, "publish again", s.Publish(s.ctx, id, target), codes.OK)
		if now := mountOf(t, target); now != mountID {
			t.Fatalf("the pod's mount is %d, it was %d", now, mountID)
		}
		if written.Load() < before+5 {
			t.Fatal("the pod does not get on with its writing")
		}
	}
	stop.Store(true)
	if err := <-failed; err != nil {
		t.Errorf("the pod was disturbed: %v", err)
	}
	if at := disk.MountsBelow(t, s.KubeletDir); !slices.Equal(at, []string{target}) {
		t.Errorf("mounts %q, want the one", at)
	}
}

// mountOf is the ID of the mount at a path.
func mountOf(t *testing.T, path string) uint64 {
	t.Helper()
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &s); err != nil {
		t.Fatal(err)
	}
	return s.Mnt_id
}

// TestNodeAddedAgain has a node come back under its name, with an empty disk. The
// volumes that it had are elsewhere to it: nothing is made up.
func TestNodeAddedAgain(t *testing.T) {
	before := start(t, "")
	id := before.create(t, "pvc-1")
	before.stop(t)

	s := start(t, "")
	empty := tree(t, s.Base)
	target := s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.FailedPrecondition)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.FailedPrecondition)
	plugin.WantCode(t, "expand", s.Expand(s.ctx, id, target, 2*mebibyte), codes.FailedPrecondition)
	_, err := s.Stats(s.ctx, id, target)
	plugin.WantCode(t, "stats", err, codes.FailedPrecondition)
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
	if diff := cmp.Diff(map[string]bool{}, s.listed(t)); diff != "" {
		t.Errorf("an empty node lists volumes (-want +got):\n%s", diff)
	}
	wantTree(t, s.Base, empty)
	if again := s.create(t, "pvc-1"); again == id {
		t.Errorf("the new volume has the ID of the old one, %s", id)
	}
}
