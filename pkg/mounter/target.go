package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// target is a target path, reached without following symbolic links: the open
// directory that holds it and its name there.
type target struct {
	path   string
	parent *os.File
	name   string
}

// openTarget returns ErrInvalid for a path that is not strictly below kubelet's
// directory or goes through a symbolic link, and fs.ErrNotExist if there is no
// parent directory.
func (m *Mounter) openTarget(targetPath string) (*target, error) {
	relative, below := strings.CutPrefix(targetPath, m.kubeletDir+"/")
	if !below || path.Clean(targetPath) != targetPath {
		return nil, fmt.Errorf("%w: target path %q is not a plain path below %s", errdefs.ErrInvalid, targetPath, m.kubeletDir)
	}
	kubelet, err := os.OpenFile(m.kubeletDir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer kubelet.Close()
	parent, err := openBeneath(kubelet, path.Dir(relative))
	if err != nil {
		return nil, fmt.Errorf("target path %s: its parent directory: %w", targetPath, err)
	}
	return &target{targetPath, parent, path.Base(relative)}, nil
}

func (t *target) close() { t.parent.Close() }

// openBeneath opens a directory for looking only: the descriptor neither reads
// nor keeps a device busy longer than the call.
func openBeneath(dir *os.File, name string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), name, &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), dir.Name()+"/"+name), nil
		case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename raced with the look-up
			continue
		case unix.ELOOP:
			return nil, fmt.Errorf("%w: %s/%s goes through a symbolic link, which hostdir does not follow", errdefs.ErrInvalid, dir.Name(), name)
		case unix.ENOTDIR:
			return nil, fmt.Errorf("%w: %s/%s is not a directory", errdefs.ErrInvalid, dir.Name(), name)
		default:
			return nil, &fs.PathError{Op: "openat2", Path: dir.Name() + "/" + name, Err: err}
		}
	}
}

// reference is the target's path for a system call that takes no descriptor:
// its parent is the one that was opened, whatever has become of the path.
func (t *target) reference() string {
	return fmt.Sprintf("%s/%s", descriptorPath(t.parent), t.name)
}

func descriptorPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// mountedHere is what is found at a target path.
type mountedHere struct {
	exists  bool
	mounted bool
	file    fileID // of the root of what is mounted, if mounted
	flags   int64  // ST_* of statfs(2), if mounted
}

// fileID tells directories apart.
type fileID struct {
	major, minor uint32
	inode        uint64
}

func (t *target) inspect() (mountedHere, error) {
	f, err := openBeneath(t.parent, t.name)
	if errors.Is(err, fs.ErrNotExist) {
		return mountedHere{}, nil
	}
	if err != nil {
		return mountedHere{}, fmt.Errorf("target path %s: %w", t.path, err)
	}
	defer f.Close()
	s, err := statx(f)
	if err != nil {
		return mountedHere{}, err
	}
	here := mountedHere{exists: true, mounted: s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, file: idOf(s)}
	if here.mounted {
		here.flags, err = statfsFlags(f)
	}
	return here, err
}

func statx(f *os.File) (unix.Statx_t, error) {
	var s unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &s)
	if err != nil {
		return s, &fs.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	return s, nil
}

func idOf(s unix.Statx_t) fileID { return fileID{s.Dev_major, s.Dev_minor, s.Ino} }

func statfsFlags(f *os.File) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	return s.Flags, nil
}
