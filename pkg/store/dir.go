package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/beneath"
)

// dir is an open directory of a pool. What is beneath it is reached by name
// through its descriptor, never by following a symbolic link and never across a
// mount. It lives for one call: one that is kept open would make the admin's
// umount fail.
type dir struct {
	f *os.File
}

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
	f, err := beneath.Open(d.f, name, flags, mode, beneath.RefuseMounts)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w; put the directory back", err)
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("%w; unmount it", err)
	}
	return f, err
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

// replaceFile writes a file aside, under a name that nobody else uses, and gives
// it its name, in place of the file that had it. After a crash or a power cut
// one of the two is there, and whole.
func (d *dir) replaceFile(aside, name string, data []byte) error {
	if err := d.unlink(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.writeFile(aside, data); err != nil {
		return err
	}
	if err := unix.Renameat(d.fd(), aside, d.fd(), name); err != nil {
		return d.wrap("renameat", aside, err)
	}
	return d.sync()
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

// inode tells directories of one node apart, whatever path leads to them.
type inode struct{ device, number uint64 }

func (d *dir) inode() (inode, error) {
	var s unix.Stat_t
	if err := unix.Fstat(d.fd(), &s); err != nil {
		return inode{}, d.wrap("fstat", ".", err)
	}
	return inode{s.Dev, s.Ino}, nil
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
