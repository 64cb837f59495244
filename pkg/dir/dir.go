package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Dir is an open directory. What is beneath it is reached without following a
// symbolic link or crossing a mount. It lives for one call: one that is kept open
// would make the admin's umount fail.
type Dir struct {
	*os.File
}

// Open opens a directory by its path on the node. The path is the admin's
// own and may go through symbolic links and mounts.
func Open(path string) (*Dir, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f}, nil
}

// FD returns the descriptor for a system call.
func (d *Dir) FD() int { return int(d.File.Fd()) }

// Path returns the path of an entry, for messages.
func (d *Dir) Path(name string) string { return d.File.Name() + "/" + name }

// OpenFile opens a file or directory beneath d, as OpenBeneath does.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (*os.File, error) {
	f, err := OpenBeneath(d.File, name, flags, mode, RefuseMounts)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w; put the directory back", err)
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("%w; unmount it", err)
	}
	return f, err
}

// Sub opens a directory beneath d.
func (d *Dir) Sub(name string) (*Dir, error) {
	f, err := d.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f}, nil
}

// Mkdir makes a directory that only root can enter.
func (d *Dir) Mkdir(name string) error {
	return d.Wrap("mkdirat", name, unix.Mkdirat(d.FD(), name, 0o700))
}

// MakeSub makes a directory if it is not there and opens it.
func (d *Dir) MakeSub(name string) (*Dir, error) {
	if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.Sub(name)
}

// maxFile bounds what ReadFile reads: records and markers are far smaller.
const maxFile = 64 << 10

// ReadFile reads a small regular file.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	f, err := d.OpenFile(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
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

// WriteFile makes a new file that survives a power cut once its directory does.
func (d *Dir) WriteFile(name string, data []byte) error {
	f, err := d.OpenFile(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReplaceFile writes a file aside, under a name that nobody else uses, and gives
// it its name, in place of the file that had it. After a crash or a power cut
// one of the two is there, and whole.
func (d *Dir) ReplaceFile(aside, name string, data []byte) error {
	if err := d.Unlink(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.WriteFile(aside, data); err != nil {
		return err
	}
	if err := unix.Renameat(d.FD(), aside, d.FD(), name); err != nil {
		return d.Wrap("renameat", aside, err)
	}
	return d.Sync()
}

// Unlink removes a file.
func (d *Dir) Unlink(name string) error {
	return d.Wrap("unlinkat", name, unix.Unlinkat(d.FD(), name, 0))
}

// Rmdir removes an empty directory.
func (d *Dir) Rmdir(name string) error {
	return d.Wrap("rmdir", name, unix.Unlinkat(d.FD(), name, unix.AT_REMOVEDIR))
}

// SyncSub syncs a directory beneath d.
func (d *Dir) SyncSub(name string) error {
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return sub.Sync()
}

// Names lists the directory.
func (d *Dir) Names() ([]string, error) {
	if _, err := d.File.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.File.Readdirnames(-1)
}

// NamesIn lists a directory beneath d.
func (d *Dir) NamesIn(name string) ([]string, error) {
	sub, err := d.Sub(name)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	return sub.Names()
}

// Lstat returns the status of an entry itself, even of a symbolic link.
func (d *Dir) Lstat(name string) (unix.Stat_t, error) {
	var s unix.Stat_t
	err := unix.Fstatat(d.FD(), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return s, d.Wrap("fstatat", name, err)
}

// Inode identifies a directory of this node, whatever path leads to it.
type Inode struct{ Device, Number uint64 }

// Inode returns the directory's.
func (d *Dir) Inode() (Inode, error) { return InodeOf(d.File) }

// InodeOf returns the inode of an open file.
func InodeOf(f *os.File) (Inode, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return Inode{}, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return Inode{s.Dev, s.Ino}, nil
}

// Wrap adds an entry's path to an error, nil stays nil.
func (d *Dir) Wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.Path(name), Err: err}
}
