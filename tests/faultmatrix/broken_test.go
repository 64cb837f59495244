package faultmatrix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestBrokenDisk has a disk that begins to fail: a sparse image on a tmpfs that is
// full, so that what it has no block for yet cannot be written. What was answered
// OK until then must be true once the disk is repaired, and what was not must not
// be there by half.
func TestBrokenDisk(t *testing.T) {
	plugin.RequireRoot(t)
	d := newBreakable(t)
	s := start(t, d.mounted)
	id, doomed, target := s.create(t, "pvc-1"), s.create(t, "pvc-2"), s.target("target")
	write(t, filepath.Join(s.VolumeDir(id), "data", "precious"), "written before")
	disk.Sync(t, d.mounted)
	d.fail(t)

	created, deleted := map[string]bool{id: true, doomed: true}, map[string]bool{}
	failed := 0
	for i := range 200 {
		made, err := s.Create(s.ctx, fmt.Sprintf("pvc-on-broken-disk-%d", i), 4096)
		plugin.WantCode(t, "create", err, codes.OK, codes.ResourceExhausted, codes.Aborted)
		if err != nil {
			if failed++; failed == 5 {
				break
			}
			continue
		}
		created[made] = true
		if i%2 == 0 && s.Delete(s.ctx, made) == nil {
			delete(created, made)
			deleted[made] = true
		}
	}
	if failed == 0 {
		t.Fatal("the disk does not fail")
	}
	t.Logf("%d volumes created and %d deleted before the disk failed", len(created), len(deleted))
	if s.Delete(s.ctx, doomed) == nil { // or not: that is open, but not by half
		delete(created, doomed)
		deleted[doomed] = true
	}
	// Reading goes on.
	err := s.Publish(s.ctx, id, target)
	plugin.WantCode(t, "publish", err, codes.OK)
	if err == nil {
		wantContent(t, filepath.Join(target, "precious"), "written before")
	}
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)

	s.stop(t)
	d.repair(t)
	s.run(t)
	listed := s.listed(t)
	for id := range created {
		if !listed[id] {
			t.Errorf("volume %s was created, and is gone", id)
		}
		plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
		plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)
	}
	for id := range deleted {
		if listed[id] {
			t.Errorf("volume %s was deleted, and is back", id)
		}
	}
	wantContent(t, filepath.Join(s.VolumeDir(id), "data", "precious"), "written before")
	for id := range listed {
		plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
	}
	s.waitPurged(t)
	for _, dir := range []string{"volumes", "trash"} {
		if left := tree(t, filepath.Join(s.Base, dir)); len(left) != 1 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// breakable is an ext4 on a sparse image, on a tmpfs that can be full.
type breakable struct{ tmpfs, image, mounted string }

func newBreakable(t *testing.T) breakable {
	t.Helper()
	d := breakable{tmpfs: t.TempDir(), mounted: t.TempDir()}
	if err := unix.Mount("tmpfs", d.tmpfs, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(d.tmpfs, unix.MNT_DETACH) })
	d.image = filepath.Join(d.tmpfs, "image")
	write(t, d.image, "")
	if err := os.Truncate(d.image, 48*mebibyte); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount(t)
	t.Cleanup(func() { exec.Command("umount", d.mounted).Run() })
	return d
}

func (d breakable) mount(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop", d.image, d.mounted)
}

// fail takes most of the room that the image would need to grow: soon the disk
// fails.
func (d breakable) fail(t *testing.T) {
	t.Helper()
	f, err := os.Create(filepath.Join(d.tmpfs, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size() - 256<<10)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// repair gives the room back, and has the filesystem checked as a boot does.
func (d breakable) repair(t *testing.T) {
	t.Helper()
	run(t, "umount", d.mounted)
	if err := os.Remove(filepath.Join(d.tmpfs, "filler")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("e2fsck", "-f", "-y", d.image).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 1 { // 1: errors were corrected
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	d.mount(t)
}
