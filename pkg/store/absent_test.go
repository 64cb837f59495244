package store

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestAccountOfAbsentDisk unmounts a disk with volumes and mounts another one of the
// pool from the same device: what is allocated on the absent one is nothing to it.
func TestAccountOfAbsentDisk(t *testing.T) {
	plugin.RequireRoot(t)
	a, b := t.TempDir(), t.TempDir()
	first, second := disk.Image(t, "ext4", 64*mebibyte), disk.Image(t, "ext4", 64*mebibyte)
	device := attach(t, "-f", "--show", first)
	if err := unix.Mount(device, a, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(a, unix.MNT_DETACH) })
	s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q], requireMountPoint: true}]", a, b))
	req := request("pvc-1")
	req.RequiredBytes = 40 * mebibyte
	mustCreate(t, s, req)
	before := s.inUse()[0].id.Inode.Device

	mustUnmount(t, a)
	s.refresh(t.Context())
	detach(t, device)
	attach(t, device, second)
	if err := unix.Mount(device, b, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(b, 0) })
	s.refresh(t.Context())
	d := only(t, s)
	if d.path != b || d.id.Inode.Device != before {
		t.Fatalf("%s is in use, on device %d; want %s on %d", d.path, d.id.Inode.Device, b, before)
	}
	if c := s.Capacity(defaultClass); c.AvailableBytes < 45*mebibyte {
		t.Errorf("capacity %+v of an empty disk of 64 MiB", c)
	}
	status := s.Status()
	if status[1].AllocatedBytes != 0 {
		t.Errorf("%d bytes are allocated on the other disk", status[1].AllocatedBytes)
	}
}

func attach(t *testing.T, args ...string) (device string) {
	t.Helper()
	out, err := exec.Command("losetup", args...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %v\n%s", err, out)
	}
	if device = strings.TrimSpace(string(out)); device == "" {
		device = args[0]
	}
	t.Cleanup(func() { exec.Command("losetup", "-d", device).Run() })
	return device
}

// detach waits until the device is free.
func detach(t *testing.T, device string) {
	t.Helper()
	for range 100 {
		exec.Command("losetup", "-d", device).Run()
		if found, _ := filepath.Glob("/sys/block/" + filepath.Base(device) + "/loop/backing_file"); len(found) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s stays attached", device)
}
