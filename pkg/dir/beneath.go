package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Mounts says what Open does about a mount on its way, or at the end of it.
type Mounts bool

const (
	// RefuseMounts stays on the mount that the directory was opened on, also
	// where another mount shows the same filesystem.
	RefuseMounts Mounts = false
	// CrossMounts goes on.
	CrossMounts Mounts = true
)

// opener is a way to open. It returns an errno: ELOOP for a symbolic link, EXDEV
// for a mount that is refused, and what open(2) says for the rest.
type opener func(dir int, name string, flags int, mode uint32, mounts Mounts) (fd int, err error)

// OpenBeneath opens what is called name beneath dir. The name has components divided by
// single slashes, none of them "." or "..", or is "." for dir itself. Flags are
// those of open(2); O_CREAT needs O_EXCL, and mode is for that.
//
// The error wraps an errno: ELOOP if the name is a symbolic link or leads
// through one, EXDEV if it leads to or through a mount that is refused. With O_PATH and
// O_NOFOLLOW a link at the end is itself what is opened, as with open(2).
func OpenBeneath(dir *os.File, name string, flags int, mode uint32, mounts Mounts) (*os.File, error) {
	fd, err := openBeneath(dir, name, flags, mode, mounts)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir.Name()+"/"+name), nil
}

func openBeneath(dir *os.File, name string, flags int, mode uint32, mounts Mounts) (fd int, err error) {
	if err = check(name, flags); err == nil {
		fd, err = chosen().open(int(dir.Fd()), name, flags|unix.O_CLOEXEC, mode, mounts)
		runtime.KeepAlive(dir)
	}
	path := func() string { return dir.Name() + "/" + name }
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ELOOP):
		return -1, fmt.Errorf("%s is, or lies behind, a symbolic link, which hostdir does not follow: %w", path(), err)
	case errors.Is(err, unix.EXDEV):
		return -1, fmt.Errorf("%s is, or lies behind, a mount that hostdir did not make: %w", path(), err)
	default:
		return -1, &fs.PathError{Op: "open", Path: path(), Err: err}
	}
}

// check refuses what the two ways would answer differently, and nobody here
// asks for.
func check(name string, flags int) error {
	if len(name) >= unix.PathMax {
		return unix.ENAMETOOLONG
	}
	if flags&unix.O_CREAT != 0 && flags&unix.O_EXCL == 0 || strings.Contains(name, "\x00") {
		return unix.EINVAL
	}
	if name == "." {
		return nil
	}
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || component == "." || component == ".." {
			return unix.EINVAL
		}
	}
	return nil
}

// choice is the way that this process opens, and why if it is not openat2.
type choice struct {
	open     opener
	fallback string
}

var chosen = sync.OnceValue(func() choice {
	fd, err := openat2(unix.AT_FDCWD, ".", unix.O_PATH|unix.O_CLOEXEC, 0, CrossMounts)
	switch {
	case err == nil:
		unix.Close(fd)
	// EPERM is what old seccomp profiles answer for a call that they do not
	// know. To look at a directory never is a matter of permission to root.
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		return choice{walk, fmt.Sprintf("openat2(2) is not available here (%v; it takes Linux 5.6 and a seccomp profile that allows it): "+
			"names are looked up one component at a time, which is as strict and takes more system calls", err)}
	}
	return choice{open: openat2}
})

// Fallback says what this kernel lacks for Open and what is weaker for it, "" if
// nothing is.
func Fallback() string { return chosen().fallback }
