package store

import (
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestDiskMovesBetweenLooks mounts a disk at another path of its pool. Each path is
// looked at in its own time, and either of the two may be the first to be.
func TestDiskMovesBetweenLooks(t *testing.T) {
	plugin.RequireRoot(t)
	for _, filesystem := range []string{"ext4", "btrfs"} { // which has another device number with each mount
		for _, first := range []string{"the old path", "the new path"} {
			t.Run(filesystem+", "+first, func(t *testing.T) {
				from, to := t.TempDir(), t.TempDir()
				image := disk.Image(t, filesystem, 128*mebibyte)
				disk.MountImage(t, image, from)
				s := openStore(t, onePool(from))
				v := mustCreate(t, s, request("pvc-1"))
				writeFile(t, s.configFile, "pools: [{name: default, paths: ["+quoted([]string{from, to})+"], requireMountPoint: true}]")
				s.reload(t.Context())
				s.refresh(t.Context())
				other := disk.Image(t, "btrfs", 128*mebibyte)
				mustUnmount(t, from)
				disk.MountImage(t, other, t.TempDir()) // takes the number that is free now
				disk.MountImage(t, image, to)

				slots := s.slots
				if first == "the new path" {
					slots = append(slots[1:2:2], slots[0])
				}
				for range 2 {
					for _, x := range slots {
						s.lookAt(t.Context(), x)
					}
				}
				if d := only(t, s); d.path != to {
					t.Errorf("the disk is in use at %s", d.path)
				}
				if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
