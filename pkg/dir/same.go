package dir

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrExchanged is for an entry that is not any more what it was when it was looked at.
var ErrExchanged = errors.New("was exchanged a moment ago: somebody is working in it")

// itself are the flags that open an entry without asking anything of it, whatever it is.
const itself = unix.O_PATH | unix.O_NOFOLLOW

// OpenSame opens an entry that was looked at before, and returns what it is now; the error
// is ErrExchanged if another one has its name, or its inode number. That one is not opened:
// it may be a device, put there by a pod, which is woken by being opened. A regular file
// or a directory can be read, leaving its access time as it is; of all else the descriptor
// is one of O_PATH.
func (d *Dir) OpenSame(name string, was unix.Stat_t) (f *os.File, is unix.Stat_t, err error) {
	fd, err := openBeneath(d.File, name, itself, 0, RefuseMounts)
	if err != nil {
		return nil, is, withCure(err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.Fstat(fd, &is); err != nil {
		return nil, is, d.Wrap("fstat", name, err)
	}
	if is.Dev != was.Dev || is.Ino != was.Ino || is.Mode&unix.S_IFMT != was.Mode&unix.S_IFMT {
		return nil, is, fmt.Errorf("%s %w", d.Path(name), ErrExchanged)
	}
	flags := unix.O_RDONLY | unix.O_NOATIME | unix.O_CLOEXEC
	switch is.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		flags |= unix.O_DIRECTORY
	case unix.S_IFREG:
	default:
		return os.NewFile(uintptr(fd), d.Path(name)), is, nil
	}
	read, err := reopen(fd, flags)
	if err != nil {
		return nil, is, d.Wrap("open", name, err)
	}
	unix.Close(fd)
	return os.NewFile(uintptr(read), d.Path(name)), is, nil
}
