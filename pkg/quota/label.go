package quota

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Project is whose a file is on XFS and ext4, and for a directory whether what is made
// in it is the same project's.
type Project struct {
	ID      ID   `json:"id"`
	Inherit bool `json:"inherit,omitempty"`
}

// ProjectOf returns the project of an open file. Where the filesystem has none, that is
// errors.ErrUnsupported.
func ProjectOf(f *os.File) (Project, error) {
	var a attributes
	if err := ioctl("get project", f, getAttributes, &a); err != nil {
		return Project{}, unsupported(err)
	}
	return Project{ID: ID(a.project), Inherit: a.flags&inheritID != 0}, nil
}

// SetProject gives an open file or directory to a project. ID 0 is nobody's.
func SetProject(f *os.File, p Project) error {
	var a attributes
	if err := ioctl("get project", f, getAttributes, &a); err != nil {
		return unsupported(err)
	}
	if !a.become(p) {
		return nil
	}
	return ioctl("set project", f, setAttributes, &a)
}

// become reports whether anything changes.
func (a *attributes) become(p Project) bool {
	was := *a
	a.project = uint32(p.ID)
	a.flags &^= inheritID
	if p.Inherit {
		a.flags |= inheritID
	}
	return *a != was
}

// SetProjectAt gives an entry of a directory to a project that must not be opened, or
// cannot: a symbolic link, a FIFO, a device. Before Linux 6.17 there is no way to, and
// the error is errors.ErrUnsupported.
func SetProjectAt(parent *os.File, name string, p Project) error {
	path := parent.Name() + "/" + name
	at, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	var a fileAttributes
	for _, call := range []uintptr{unix.SYS_FILE_GETATTR, unix.SYS_FILE_SETATTR} {
		_, _, errno := unix.Syscall6(call, parent.Fd(), uintptr(unsafe.Pointer(at)), uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a), unix.AT_SYMLINK_NOFOLLOW, 0)
		runtime.KeepAlive(parent)
		if errno != 0 {
			return unsupported(&os.PathError{Op: "set project", Path: path, Err: errno})
		}
		if a.project == uint32(p.ID) {
			return nil
		}
		a.project = uint32(p.ID)
	}
	return nil
}

// unsupported makes an error that says that a filesystem or kernel does not know the
// call an errors.ErrUnsupported.
func unsupported(err error) error {
	for _, none := range []error{unix.ENOTTY, unix.ENOSYS, unix.EOPNOTSUPP} {
		if errors.Is(err, none) {
			return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	return err
}

// fileAttributes is struct file_attr of file_getattr(2).
type fileAttributes struct {
	flags               uint64
	extentSize, extents uint32
	project             uint32
	cowExtentSize       uint32
}
