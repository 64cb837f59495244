package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// dir is an open directory of a pool. What is beneath it is reached by name
// through its descriptor, never by following a symbolic link and never across a
// mount. It lives for one call: one that is kept open would make the admin's
// umount fail.
type dir struct {
	f *os.File
}

// beneath is how everything in a base directory is opened. os.Root would not do:
// it crosses mounts.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// openDir opens a directory by its path on the node. The path is the admin's
// own and may go through symbolic links and mounts.
func openDir(path string) (*dir, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &dir{f}, nil
}

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) close() { d.f.Close() }

// path is for messages.
func (d *dir) path(name string) string { return d.f.Name() + "/" + name }

// open opens a file or directory beneath d.
func (d *dir) open(name string, flags int, mode uint32) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: beneath}
	for {
		fd, err := unix.Openat2(d.fd(), name, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), d.path(name)), nil
		case err == unix.EINTR || err == unix.EAGAIN: // EAGAIN: a rename raced with the look-up
			continue
		case err == unix.ELOOP:
			return nil, fmt.Errorf("%s is, or lies behind, a symbolic link, which hostdir does not follow; put the directory back: %w", d.path(name), err)
		case err == unix.EXDEV:
			return nil, fmt.Errorf("%s is, or lies behind, a mount that hostdir did not make; unmount it: %w", d.path(name), err)
		default:
			return nil, &fs.PathError{Op: "openat2", Path: d.path(name), Err: err}
		}
	}
}

// sub opens a directory beneath d.
func (d *dir) sub(name string) (*dir, error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &dir{f}, nil
}

// mkdir makes a directory that only root can enter.
func (d *dir) mkdir(name string) error {
	return d.wrap("mkdirat", name, unix.Mkdirat(d.fd(), name, 0o700))
}

// makeSub makes a directory if it is not there and opens it.
func (d *dir) makeSub(name string) (*dir, error) {
	if err := d.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.sub(name)
}

// maxFile bounds what readFile reads: records and markers are far smaller.
const maxFile = 64 << 10

// readFile reads a small regular file.
func (d *dir) readFile(name string) ([]byte, error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", f.Name(), maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// writeFile makes a new file that survives a power cut once its directory does.
func (d *dir) writeFile(name string, data []byte) error {
	f, err := d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// renameTo moves an entry of d into another directory of the same filesystem.
// It never replaces anything.
func (d *dir) renameTo(name string, to *dir, newName string) error {
	return d.wrap("renameat2", name, unix.Renameat2(d.fd(), name, to.fd(), newName, unix.RENAME_NOREPLACE))
}

func (d *dir) unlink(name string) error {
	return d.wrap("unlinkat", name, unix.Unlinkat(d.fd(), name, 0))
}

func (d *dir) rmdir(name string) error {
	return d.wrap("rmdir", name, unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR))
}

// sync makes the directory's entries survive a power cut.
func (d *dir) sync() error { return d.f.Sync() }

// syncSub is sync of a directory beneath d.
func (d *dir) syncSub(name string) error {
	sub, err := d.sub(name)
	if err != nil {
		return err
	}
	defer sub.close()
	return sub.sync()
}

// names lists the directory.
func (d *dir) names() ([]string, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.f.Readdirnames(-1)
}

// device is the number of the filesystem, or of the subvolume of btrfs, that d
// is on. It is 0 if that cannot be told.
func (d *dir) device() uint64 {
	var s unix.Stat_t
	if unix.Fstat(d.fd(), &s) != nil {
		return 0
	}
	return s.Dev
}

func (d *dir) wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.path(name), Err: err}
}
