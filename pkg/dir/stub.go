package dir

import "golang.org/x/sys/unix"

// stubInode is what btrfs shows in a snapshot in place of a subvolume, which a
// snapshot never holds: an empty directory that nothing can be written to
// (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID in include/uapi/linux/btrfs_tree.h).
const stubInode = 2

// IsSubvolumeStub reports whether d is not a directory but the place of a btrfs
// subvolume that a snapshot has left behind.
func (d *Dir) IsSubvolumeStub() (bool, error) {
	inode, err := d.Inode()
	if err != nil || inode.Number != stubInode {
		return false, err
	}
	var stat unix.Statfs_t
	if err := unix.Fstatfs(d.FD(), &stat); err != nil {
		return false, d.Wrap("statfs", ".", err)
	}
	return int64(stat.Type) == unix.BTRFS_SUPER_MAGIC, nil
}
