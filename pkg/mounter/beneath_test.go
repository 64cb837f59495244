package mounter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

func TestBeneath(t *testing.T) {
	n := newNode(t)
	data := n.volume(t, "pvc-1")
	inside := filepath.Join(n.volumes, "pvc-1")
	mkdirAll(t, filepath.Join(inside, "sub"))
	mkdirAll(t, filepath.Join(inside, "hole"))
	mkdirAll(t, n.target("sub"))
	mkdirAll(t, n.target("gone"))
	mkdirAll(t, filepath.Join(inside, "gone"))
	volumes := open(t, n.volumes)
	look := func(dir *os.File) []Mount {
		t.Helper()
		found, err := Beneath(dir)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := look(volumes); len(found) > 0 {
		t.Errorf("mounts where there are none: %+v", found)
	}

	n.mustPublish(t, data, Publication{TargetPath: n.target("mount")})
	mount := func(from, to string) {
		t.Helper()
		if err := unix.Mount(from, to, "tmpfs", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount(filepath.Join(inside, "sub"), n.target("sub"))
	mount(filepath.Join(inside, "gone"), n.target("gone"))
	if err := os.Remove(filepath.Join(inside, "gone")); err != nil {
		t.Fatal(err)
	}
	// A whole filesystem in the volume, with one of its directories in it once more.
	hole := filepath.Join(inside, "hole")
	if err := unix.Mount("tmpfs", hole, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	mkdirAll(t, filepath.Join(hole, "deeper"))
	mount(filepath.Join(hole, "deeper"), filepath.Join(hole, "deeper"))

	want := []Mount{
		{At: n.target("mount"), Shows: "pvc-1", Harmless: true},
		{At: n.target("sub"), Shows: "pvc-1/sub"},
		{At: n.target("gone"), Shows: "pvc-1/gone//deleted"},
		{At: hole, Lies: "pvc-1/hole"},
		{At: filepath.Join(hole, "deeper"), Lies: "pvc-1/hole/deeper"},
	}
	byPath := cmpopts.SortSlices(func(a, b Mount) bool { return a.At < b.At })
	if diff := cmp.Diff(want, look(volumes), byPath, cmpopts.IgnoreFields(Mount{}, "ID")); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}

	// What another mount covers lies elsewhere, whatever its path says.
	if err := unix.Mount("tmpfs", n.volumes, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(n.volumes, unix.MNT_DETACH) })
	if found := look(open(t, n.volumes)); len(found) > 0 {
		t.Errorf("mounts in an empty disk: %+v", found)
	}
}
