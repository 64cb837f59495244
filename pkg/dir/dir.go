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
	// os.Open would offer the directory to the poller, with five system calls more.
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newDir(fd, path), nil
}

func newDir(fd int, path string) *Dir { return &Dir{os.NewFile(uintptr(fd), path)} }

// FD returns the descriptor for a system call.
func (d *Dir) FD() int { return int(d.File.Fd()) }

// Path returns the path of an entry, for messages.
func (d *Dir) Path(name string) string { return d.File.Name() + "/" + name }

// OpenFile opens a file or directory beneath d, as OpenBeneath does.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (*os.File, error) {
	f, err := OpenBeneath(d.File, name, flags, mode, RefuseMounts)
	return f, withCure(err)
}

// withCure adds to an error of OpenBeneath what to do about it.
func withCure(err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w; put the directory back", err)
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w; unmount it", err)
	}
	return err
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

// ReadFile reads a small regular file. It takes five system calls: the record of
// a volume is read before each call that concerns it.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	fd, err := openBeneath(d.File, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, RefuseMounts)
	if err != nil {
		return nil, withCure(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, d.Wrap("fstat", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxFile {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", d.Path(name), maxFile)
	}
	data := make([]byte, 0, st.Size+1)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, d.Wrap("read", name, err)
		case n == 0: // the end, or more than there was a moment ago
			return data, nil
		default:
			data = data[:len(data)+n]
		}
	}
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
