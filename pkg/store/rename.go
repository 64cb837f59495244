package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// errReplaces is returned on a filesystem on which a rename may replace what is
// there: hostdir could lose a volume that way, and does not work there.
var errReplaces = errors.New("the filesystem cannot rename without replacing what is there (renameat2(2) with RENAME_NOREPLACE), " +
	"so hostdir does not use it; NFS, 9p and ZFS before 2.2 are such; put the pool on XFS, ext4, btrfs or another local filesystem")

// renameTo moves an entry of d into another directory of the same filesystem.
// It never replaces anything.
func (d *dir) renameTo(name string, to *dir, newName string) error {
	err := unix.Renameat2(d.fd(), name, to.fd(), newName, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return fmt.Errorf("%w: %w", errReplaces, d.wrap("renameat2", name, err))
	}
	return d.wrap("renameat2", name, err)
}

// neverReplaces are the types of filesystems that need not be tried.
var neverReplaces = []string{"btrfs", "ext4", "f2fs", "tmpfs", "xfs"}

// checkRename returns errReplaces where renameTo would. Only a rename tells: the
// kernel looks into the flag last. Whatever else goes wrong is left to those who
// have to do with it.
func (d *dir) checkRename() error {
	if id, err := d.identity(); err != nil || slices.Contains(neverReplaces, id.Type) {
		return err
	}
	volumes, err := d.sub(volumesDir)
	if err != nil {
		return err
	}
	defer volumes.close()
	const from, to = newPrefix + "rename-probe", newPrefix + "rename-probed" // the scan clears away what a crash leaves
	if err := volumes.mkdir(from); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil
	}
	err = volumes.renameTo(from, volumes, to)
	_, _ = volumes.rmdir(from), volumes.rmdir(to)
	if errors.Is(err, errReplaces) {
		return err
	}
	return nil
}
