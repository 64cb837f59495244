package dir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Through returns the same directory as one that lies on the mount of another: two
// bind mounts of one filesystem are two places to rename(2), which says EXDEV. A
// directory of another filesystem, or one that its filesystem cannot find by a
// handle, is errors.ErrUnsupported. It takes CAP_DAC_READ_SEARCH.
//
// What lies above the directory may be out of reach of that mount, and is not
// looked at.
func (d *Dir) Through(other *Dir) (*Dir, error) {
	handle, _, err := unix.NameToHandleAt(d.FD(), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, unsupported(d.Wrap("name_to_handle_at", ".", err))
	}
	fd, err := unix.OpenByHandleAt(other.FD(), handle, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, unsupported(d.Wrap("open_by_handle_at", ".", err))
	}
	through := newDir(fd, d.Name())
	// A handle of another filesystem may be another directory's there.
	same, err := sameInode(d, through)
	if err == nil && !same {
		err = fmt.Errorf("%w: %s is on another filesystem than %s", errors.ErrUnsupported, d.Name(), other.Name())
	}
	if err != nil {
		through.Close()
		return nil, err
	}
	return through, nil
}

func sameInode(a, b *Dir) (bool, error) {
	one, err := a.Inode()
	if err != nil {
		return false, err
	}
	other, err := b.Inode()
	return one == other, err
}

// unsupported marks what a filesystem, a container or a foreign handle answers.
func unsupported(err error) error {
	if isOneOf(err, unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.ESTALE, unix.EOVERFLOW, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
