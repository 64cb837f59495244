package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

const (
	// maxDepth bounds how many descriptors removeTree holds. Deeper
	// directories are first moved up, so that any depth can be removed.
	maxDepth = 64
	// removeBatch is how many entries of a directory are read at a time.
	removeBatch = 1024
)

// RemoveTree removes an entry of d and all that is beneath it. It never follows
// a symbolic link, whoever swaps one in meanwhile, and stops at a mount. When the
// context ends it stops too, but has removed something by then: repeated calls
// come to an end, however short each is.
func (d *Dir) RemoveTree(ctx context.Context, name string) error {
	isDir, err := d.removeLeaf(name)
	if err != nil || !isDir {
		return err
	}
	top, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := top.makeWritable(); err != nil {
		return err
	}
	if err := top.removeContent(ctx, top, 1); err != nil {
		return err
	}
	return d.Rmdir(name)
}

// removeLeaf removes an entry unless it is a directory.
func (d *Dir) removeLeaf(name string) (isDir bool, err error) {
	err = d.Unlink(name)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.EISDIR):
		return true, nil
	case errors.Is(err, unix.EBUSY):
		return false, fmt.Errorf("%w: a file is mounted on it; unmount it, the rest is removed then", err)
	case errors.Is(err, unix.EPERM): // root may remove anything else
		return false, fmt.Errorf("%w: it, or its directory, is immutable or append-only (see lsattr); chattr -i -a lets the rest be removed", err)
	default:
		return false, err
	}
}

// removeContent empties d, which is depth levels below top.
func (d *Dir) removeContent(ctx context.Context, top *Dir, depth int) error {
	for {
		if _, err := d.File.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := d.File.Readdirnames(removeBatch)
		if err != nil && err != io.EOF {
			return err
		}
		if len(names) == 0 {
			return nil
		}
		for _, name := range names {
			if err := d.removeEntry(ctx, name, top, depth); err != nil {
				return err
			}
			if err := ended(ctx); err != nil {
				return err
			}
		}
	}
}

func (d *Dir) removeEntry(ctx context.Context, name string, top *Dir, depth int) error {
	isDir, err := d.removeLeaf(name)
	if err != nil || !isDir {
		return err
	}
	if depth >= maxDepth {
		return d.RenameTo(name, top, "deep."+uuid.NewString())
	}
	sub, err := d.Sub(name)
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("%s is a mount: unmount it, the rest is removed then", d.Path(name))
	}
	if err != nil {
		return err
	}
	other, err := onOtherDevice(sub, d)
	if err != nil {
		sub.Close()
		return err
	}
	if other { // a subvolume of btrfs: nothing can be moved out of it
		top, depth = sub, 0
		if err := sub.makeWritable(); err != nil {
			sub.Close()
			return err
		}
	}
	err = sub.removeContent(ctx, top, depth+1)
	sub.Close()
	if err != nil {
		return err
	}
	return d.Rmdir(name)
}

// ended is ctx.Err by the clock: the timer of a deadline may be late on a busy
// machine.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

func onOtherDevice(a, b *Dir) (bool, error) {
	one, err := a.Inode()
	if err != nil {
		return false, err
	}
	other, err := b.Inode()
	return one.Device != other.Device, err
}

// Requests of ioctl(2) for a subvolume's flags, see linux/btrfs.h.
const (
	btrfsGetFlags = 0x80089419 // BTRFS_IOC_SUBVOL_GETFLAGS
	btrfsSetFlags = 0x4008941a // BTRFS_IOC_SUBVOL_SETFLAGS
	btrfsReadOnly = 1 << 1     // BTRFS_SUBVOL_RDONLY
)

// makeWritable lets a subvolume be emptied that a tenant has made read-only, as
// snapshots can be.
func (d *Dir) makeWritable() error {
	var flags uint64
	if d.ioctl(btrfsGetFlags, &flags) != nil || flags&btrfsReadOnly == 0 {
		return nil // not a subvolume, or writable
	}
	flags &^= btrfsReadOnly
	return d.ioctl(btrfsSetFlags, &flags)
}

// ioctl makes a request that takes or answers a number.
func (d *Dir) ioctl(request uintptr, number *uint64) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.FD()), request, uintptr(unsafe.Pointer(number)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return d.Wrap("ioctl", ".", errno)
		}
	}
}
