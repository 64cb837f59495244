package faultmatrix

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// scratch is a pool whose disk is formatted anew at each boot.
func scratch(base string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%q], requireMountPoint: true, initEmpty: true}]", base)
}

// TestFormattedAtBoot boots a node ten times whose disk is formatted anew each time:
// before hostdir starts, or a moment after. What was on it is told to be gone, and
// new volumes are made without a word from anybody.
func TestFormattedAtBoot(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	t.Cleanup(func() { unix.Unmount(base, unix.MNT_DETACH) }) // once the program has ended
	s := layout(t, base)
	s.Configure(t, scratch(base))
	format := func() {
		t.Helper()
		run(t, "mount", "-o", "loop", disk.Image(t, "ext4", 16*mebibyte), base)
	}
	var former []string
	for boot := range 10 {
		late := boot == 5
		if !late {
			format()
		}
		s.run(t)
		if late {
			plugin.WantCode(t, "delete while it is absent", s.Delete(s.ctx, former[0]), codes.Unavailable)
			format()
		}
		await(t, "the formatted disk is used", 25*time.Second, func() bool { return s.disks(t)[base].State == "ready" })
		target := s.target("target")
		for _, id := range former {
			plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.FailedPrecondition)
			plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.FailedPrecondition)
		}
		id := s.create(t, "pvc-1")
		plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
		write(t, filepath.Join(target, "scratch"), "")
		former = append(former, id)
		if boot == 9 {
			break
		}
		s.Signal(t, []os.Signal{syscall.SIGTERM, syscall.SIGKILL}[boot%2])
		disk.UnmountBelow(t, s.KubeletDir)
		if err := unix.Unmount(base, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFormattedDiskFails formats a disk on which nothing can be written: it is no new
// disk, and becomes one once it is repaired.
func TestFormattedDiskFails(t *testing.T) {
	plugin.RequireRoot(t)
	d := newBreakable(t)
	run(t, "umount", d.mounted)
	disk.MountImage(t, disk.Image(t, "ext4", 16*mebibyte), d.mounted)
	s := layout(t, d.mounted)
	s.Configure(t, scratch(d.mounted))
	s.run(t)
	id := s.create(t, "pvc-1")
	s.stop(t)
	run(t, "umount", d.mounted)

	d.mount(t)
	d.fail(t)
	filler, err := os.OpenFile(filepath.Join(d.tmpfs, "filler"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	filler.Close()
	s.run(t)
	now := s.disks(t)[d.mounted]
	if now.State != "unusable" || now.Reason != "faulty" {
		t.Errorf("a disk that fails is %+v", now)
	}
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, s.target("target")), codes.Unavailable)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.Unavailable)
	s.stop(t)

	d.repair(t)
	s.run(t)
	await(t, "the repaired disk is used", 25*time.Second, func() bool { return s.disks(t)[d.mounted].State == "ready" })
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.FailedPrecondition)
	s.create(t, "pvc-1")
}
