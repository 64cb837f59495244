package dir

import (
	"fmt"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// StorageID identifies what a directory's room comes from: two directories share
// it if what is written to one is missing in the other. A device number does not
// do for all: each subvolume of a btrfs and each dataset of a ZFS pool has its own.
func (d *Dir) StorageID() (string, error) {
	filesystem, err := d.Filesystem()
	if err != nil {
		return "", err
	}
	inode, err := d.Inode()
	if err != nil {
		return "", err
	}
	switch {
	case filesystem.Type == "btrfs" && filesystem.UUID != "":
		return filesystem.String(), nil
	case filesystem.Type == "zfs":
		id, err := MountID(d.File)
		if err != nil {
			return "", err
		}
		mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
			found := uint64(m.ID) == id
			return !found, found
		})
		if err != nil {
			return "", fmt.Errorf("the mount table cannot be read: %w", err)
		}
		if len(mounts) > 0 {
			return zpool(mounts[0].Source), nil
		}
	}
	return fmt.Sprintf("device %d", inode.Device), nil
}

// zpool returns the ID of the pool that a dataset, such as tank/data/nvme, is in.
func zpool(dataset string) string {
	pool, _, _ := strings.Cut(dataset, "/")
	return "zpool " + pool
}
