package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/beneath"
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
// nor keeps a device busy longer than the call. Mounts may be on the way: kubelet's
// directory is the admin's to lay out.
func openBeneath(dir *os.File, name string) (*os.File, error) {
	f, err := beneath.Open(dir, name, unix.O_PATH|unix.O_DIRECTORY, 0, beneath.CrossMounts)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w: %w", errdefs.ErrInvalid, err)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%w: %s/%s is not a directory", errdefs.ErrInvalid, dir.Name(), name)
	}
	return f, err
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
type fileID struct{ device, inode uint64 }

func (t *target) inspect() (mountedHere, error) {
	f, err := openBeneath(t.parent, t.name)
	if errors.Is(err, fs.ErrNotExist) {
		return mountedHere{}, nil
	}
	if err != nil {
		return mountedHere{}, fmt.Errorf("target path %s: %w", t.path, err)
	}
	defer f.Close()
	here := mountedHere{exists: true}
	if here.mounted, err = beneath.IsMountRoot(f); err != nil || !here.mounted {
		return here, err
	}
	if here.file, err = idOf(f); err != nil {
		return here, err
	}
	here.flags, err = statfsFlags(f)
	return here, err
}

func idOf(f *os.File) (fileID, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return fileID{}, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return fileID{s.Dev, s.Ino}, nil
}

func statfsFlags(f *os.File) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	return s.Flags, nil
}
