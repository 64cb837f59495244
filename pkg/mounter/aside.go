package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// asideMount makes mounts with mount(2) alone. That call cannot make one with
// options, only change them afterwards, and then only in its own mount
// namespace: the node, which gets a copy of each mount, would keep one without
// them. So the mount is made and changed aside, where nobody gets copies, and
// what is mounted at the target is a bind mount of that, which has its options
// from the start everywhere.
type asideMount struct{ dir string }

// preparing is held while something is mounted aside, and by those to whom that
// would look like a fault.
var preparing sync.RWMutex

func (a *asideMount) attach(source, target string, options []string) (err error) {
	preparing.Lock()
	defer preparing.Unlock()
	if err := a.clear(); err != nil { // what a crash has left
		return err
	}
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		return err
	}
	attached := false
	defer func() {
		err = errors.Join(err, a.clear())
		if err != nil && attached {
			err = errors.Join(err, unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH))
		}
	}()
	prepared, want, err := a.prepare(source, options)
	if err != nil {
		return err
	}
	defer prepared.Close()
	place, err := openPath(target)
	if err != nil {
		return err
	}
	defer place.Close()
	if err := unix.Mount(descriptorPath(prepared), descriptorPath(place), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	attached, err = isMounted(source, target, want)
	return err
}

// prepare mounts the source at dir. It returns the root of that mount and the
// flags that it has in the end.
func (a *asideMount) prepare(source string, options []string) (root *os.File, flags mountFlags, err error) {
	if err := unix.Mount(source, a.dir, "", unix.MS_BIND, ""); err != nil {
		return nil, 0, fmt.Errorf("mount: %w", err)
	}
	if err := unix.Mount("", a.dir, "", unix.MS_PRIVATE, ""); err != nil {
		return nil, 0, fmt.Errorf("mount made private: %w", err)
	}
	if root, err = openPath(a.dir); err != nil {
		return nil, 0, err
	}
	if flags, err = flagsOf(root); err == nil {
		flags = flags.with(options)
		err = unix.Mount("", descriptorPath(root), "", unix.MS_REMOUNT|unix.MS_BIND|uintptr(flags), "")
	}
	if err != nil {
		root.Close()
		return nil, 0, fmt.Errorf("mount options: %w", err)
	}
	return root, flags, nil
}

// isMounted reports whether source is what is mounted at target, and returns an
// error if it is not, or not with these flags.
func isMounted(source, target string, want mountFlags) (bool, error) {
	at, err := openPath(target)
	if err != nil {
		return false, err
	}
	defer at.Close()
	data, err := os.OpenFile(source, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer data.Close()
	mounted, err := dir.IsMountRoot(at)
	if err != nil {
		return false, err
	}
	if same, err := isSame(at, data); err != nil || !mounted || !same {
		return false, errors.Join(err, errors.New("what was mounted is not what is there now: somebody changed the target meanwhile; look at it with findmnt"))
	}
	got, err := flagsOf(at)
	if err == nil && got != want {
		err = fmt.Errorf("the mount has the flags %#x, it should have %#x", got, want)
	}
	return true, err
}

// clear takes away what is mounted at dir, and the directory.
func (a *asideMount) clear() error {
	for range maxStacked {
		err := unix.Unmount(a.dir, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		if err == unix.EINVAL || err == unix.ENOENT { // nothing is mounted there
			break
		}
		if err != nil {
			return &fs.PathError{Op: "unmount", Path: a.dir, Err: err}
		}
	}
	if err := unix.Rmdir(a.dir); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: a.dir, Err: err}
	}
	return nil
}

// openPath opens a directory for looking, if it is no symbolic link.
func openPath(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}
