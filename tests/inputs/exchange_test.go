package inputs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// disked is a plugin that does not run, whose pool was on a disk: it has a volume
// with a file in it. Nothing says that a mount point is required.
type disked struct {
	*server
	image, id, target string
}

func newDisked(t *testing.T) *disked {
	t.Helper()
	plugin.RequireRoot(t)
	base := t.TempDir()
	d := &disked{image: smallDisk(t)}
	disk.MountImage(t, d.image, base)
	d.server = startOn(t, base)
	d.Expect("DiskUnusable") // the disk is gone in the end
	d.id = d.create(t, "pvc-1")
	d.target = filepath.Join(d.KubeletDir, "target")
	wantCode(t, d.publish(d.id, d.target), codes.OK, "")
	if err := os.WriteFile(filepath.Join(d.target, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.unpublish(d.id, d.target), codes.OK, "")
	d.Signal(t, os.Interrupt)
	d.unmount(t)
	return d
}

func smallDisk(t *testing.T) string { return disk.Image(t, "ext4", 16*mebibyte) }

func (d *disked) unmount(t *testing.T) {
	t.Helper()
	retry(t, isBusy, func() error { return unix.Unmount(d.Base, 0) })
}

func (d *disked) start(t *testing.T) {
	t.Helper()
	d.Run(t)
	d.ControllerClient, d.NodeClient = csi.NewControllerClient(d.Conn), csi.NewNodeClient(d.Conn)
}

// wantRefused checks what the plugin answers while the right disk is not there,
// and that it leaves what is there alone.
func (d *disked) wantRefused(t *testing.T, says string) {
	t.Helper()
	before := snapshot(t, d.root)
	_, err := d.CreateVolume(d.ctx, goodCreate("pvc-2"))
	wantCode(t, err, codes.ResourceExhausted, says)
	d.wantNoRoom(t)
	wantCode(t, d.publish(d.id, d.target), codes.Unavailable, says)
	wantCode(t, d.delete(d.id), codes.Unavailable, says)
	wantSame(t, d.root, before)
}

// wantBack waits until the volume can be used again.
func (d *disked) wantBack(t *testing.T) {
	t.Helper()
	retry(t, isUnavailable, func() error { return d.publish(d.id, d.target) })
	if _, err := os.Stat(filepath.Join(d.target, "precious")); err != nil {
		t.Error(err)
	}
	wantCode(t, d.unpublish(d.id, d.target), codes.OK, "")
	wantCode(t, d.delete(d.id), codes.OK, "")
}

// hostdir gives the running plugin an order.
func (d *disked) hostdir(t *testing.T, args ...string) {
	t.Helper()
	args = append(args, "--endpoint=unix://"+d.Socket)
	if out, err := exec.CommandContext(d.ctx, plugin.Build(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("hostdir %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestDiskAbsentAtBoot starts before the disk is there, and waits for it.
func TestDiskAbsentAtBoot(t *testing.T) {
	d := newDisked(t)
	for range 2 {
		d.start(t)
		d.wantRefused(t, "is the disk mounted?")
		if left := snapshot(t, d.Base); len(left) != 1 {
			t.Errorf("something was written under the mount point: %v", left)
		}
		d.Signal(t, os.Interrupt)
	}
	d.start(t)
	disk.MountImage(t, d.image, d.Base)
	d.wantBack(t)
}

// TestDiskReplaced mounts other disks in place of a pool's, before a start and
// while the plugin runs, and then the right one.
func TestDiskReplaced(t *testing.T) {
	d := newDisked(t)
	for _, test := range []struct {
		name, says string
		lay        func(t *testing.T, base string)
	}{
		{"by an empty one", "an empty directory", func(*testing.T, string) {}},
		{"by another pool", "was exchanged", func(t *testing.T, base string) {
			stranger := startOn(t, base)
			stranger.create(t, "pvc-1")
			stranger.Signal(t, os.Interrupt)
		}},
		{"by one with files", "not empty", func(t *testing.T, base string) {
			if err := os.WriteFile(filepath.Join(base, "photo"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := smallDisk(t)
			disk.MountImage(t, other, d.Base)
			test.lay(t, d.Base)
			before := snapshot(t, d.Base)
			d.start(t)
			d.wantRefused(t, test.says)
			wantSame(t, d.Base, before)
			d.Signal(t, os.Interrupt)
			d.unmount(t)

			disk.MountImage(t, d.image, d.Base)
			d.start(t)
			wantCode(t, d.publish(d.id, d.target), codes.OK, "")
			wantCode(t, d.unpublish(d.id, d.target), codes.OK, "")
			d.unmount(t)
			disk.MountImage(t, other, d.Base)
			d.wantRefused(t, "") // the reason is another once it has looked around
			wantSame(t, d.Base, before)
			d.Signal(t, os.Interrupt)
			d.unmount(t)
		})
	}
	disk.MountImage(t, d.image, d.Base)
	d.start(t)
	d.wantBack(t)
}

// TestDiskCloned mounts a disk and a clone of it. Neither is used until an
// operator says which one is right.
func TestDiskCloned(t *testing.T) {
	d := newDisked(t)
	side, clone := t.TempDir(), filepath.Join(t.TempDir(), "clone.img")
	if out, err := exec.Command("dd", "if="+d.image, "of="+clone, "bs=1M", "conv=sparse", "status=none").CombinedOutput(); err != nil {
		t.Fatalf("dd: %v\n%s", err, out)
	}
	disk.MountImage(t, d.image, d.Base)
	disk.MountImage(t, clone, side)
	d.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", d.Base, side))
	d.start(t)
	d.wantRefused(t, "one is a copy")
	d.hostdir(t, "disks", "accept", d.Base, "--yes")
	wantCode(t, d.publish(d.id, d.target), codes.OK, "")
	if err := os.WriteFile(filepath.Join(d.target, "written"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.unpublish(d.id, d.target), codes.OK, "")
	if found, _ := filepath.Glob(filepath.Join(side, "volumes/*/data/written")); len(found) > 0 {
		t.Error("the clone was written to")
	}
	d.restart(t)
	d.wantBack(t)
}

// TestDiskCopied replaces a disk by one to which its files were copied.
func TestDiskCopied(t *testing.T) {
	d := newDisked(t)
	side, copied := t.TempDir(), smallDisk(t)
	disk.MountImage(t, d.image, d.Base)
	disk.MountImage(t, copied, side)
	if out, err := exec.Command("cp", "-a", d.Base+"/.", side).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	d.unmount(t)
	if err := unix.Unmount(side, 0); err != nil {
		t.Fatal(err)
	}
	disk.MountImage(t, copied, d.Base)
	d.start(t)
	d.wantRefused(t, "made on another filesystem")
	d.hostdir(t, "disks", "accept", d.Base, "--yes")
	d.wantBack(t)
}

// TestDisksSwapped lets two disks change places between two starts.
func TestDisksSwapped(t *testing.T) {
	d := newDisked(t)
	second, other := t.TempDir(), smallDisk(t)
	disk.MountImage(t, d.image, d.Base)
	disk.MountImage(t, other, second)
	d.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", d.Base, second))
	d.start(t)
	d.Signal(t, os.Interrupt)
	d.unmount(t)
	if err := unix.Unmount(second, 0); err != nil {
		t.Fatal(err)
	}
	disk.MountImage(t, d.image, second)
	disk.MountImage(t, other, d.Base)
	d.start(t)
	d.wantBack(t)
}
