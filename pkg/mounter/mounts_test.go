package mounter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

func TestMounts(t *testing.T) {
	n := newNode(t)
	data := n.volume(t, "pvc-1")
	inside := filepath.Join(n.volumes, "pvc-1")
	mkdirAll(t, filepath.Join(inside, "sub"))
	mkdirAll(t, filepath.Join(inside, "hole"))
	mkdirAll(t, n.target("sub"))
	mkdirAll(t, n.target("gone"))
	mkdirAll(t, filepath.Join(inside, "gone"))
	volumes := open(t, n.volumes)
	look := func(d *os.File) []dir.Mount {
		t.Helper()
		found, err := Mounts(d)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := look(volumes); len(found) > 0 {
		t.Errorf("mounts where there are none: %+v", found)
	}

	n.mustPublish(t, data, PublishOptions{TargetPath: n.target("mount")})
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

	want := []dir.Mount{
		{Target: n.target("mount"), Source: "pvc-1", Restricted: true},
		{Target: n.target("sub"), Source: "pvc-1/sub"},
		{Target: n.target("gone"), Source: "pvc-1/gone//deleted"},
		{Target: hole, Within: "pvc-1/hole"},
		{Target: filepath.Join(hole, "deeper"), Within: "pvc-1/hole/deeper"},
	}
	byPath := cmpopts.SortSlices(func(a, b dir.Mount) bool { return a.Target < b.Target })
	if diff := cmp.Diff(want, look(volumes), byPath, cmpopts.IgnoreFields(dir.Mount{}, "ID")); diff != "" {
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
