package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrReplaces is returned on a filesystem on which a rename may replace what is
// there: hostdir could lose a volume that way, and does not work there.
var ErrReplaces = errors.New("the filesystem cannot rename without replacing what is there (renameat2(2) with RENAME_NOREPLACE), " +
	"so hostdir does not use it; NFS, 9p and ZFS before 2.2 are such; put the disk on XFS, ext4, btrfs or another local filesystem")

// RenameTo moves an entry of d into another directory of the same filesystem.
// It never replaces anything.
func (d *Dir) RenameTo(name string, to *Dir, newName string) error {
	err := unix.Renameat2(d.FD(), name, to.FD(), newName, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return fmt.Errorf("%w: %w", ErrReplaces, d.Wrap("renameat2", name, err))
	}
	return d.Wrap("renameat2", name, err)
}

// neverReplaces are the types of filesystems that need not be tried.
var neverReplaces = []string{"btrfs", "ext4", "f2fs", "tmpfs", "xfs"}

// CheckRename returns ErrReplaces where RenameTo would. Only a rename shows it:
// the kernel looks into the flag last. from and to are names in d that nobody uses; a
// crash may leave a directory of either name. Whatever else goes wrong is left to
// those who have to do with it.
func (d *Dir) CheckRename(from, to string) error {
	if id, err := d.Filesystem(); err != nil || slices.Contains(neverReplaces, id.Type) {
		return err
	}
	if err := d.Mkdir(from); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil
	}
	err := d.RenameTo(from, d, to)
	_, _ = d.Rmdir(from), d.Rmdir(to)
	if errors.Is(err, ErrReplaces) {
		return err
	}
	return nil
}
