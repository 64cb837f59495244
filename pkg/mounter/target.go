package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
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
		return nil, m.outside(targetPath)
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
func openBeneath(parent *os.File, name string) (*os.File, error) {
	f, err := dir.OpenBeneath(parent, name, unix.O_PATH|unix.O_DIRECTORY, 0, dir.CrossMounts)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w: %w", errdefs.ErrInvalid, err)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%w: %s/%s is not a directory", errdefs.ErrInvalid, parent.Name(), name)
	}
	return f, err
}

// reference is the target's path for a system call that takes no descriptor:
// its parent is the one that was opened, whatever has become of the path.
func (t *target) reference() string {
	return fmt.Sprintf("%s/%s", descriptorPath(t.parent), t.name)
}

func descriptorPath(f *os.File) string { return dir.ProcPath(int(f.Fd())) }

// look opens what is at the target, nil if nothing is, and reports whether
// something is mounted on it. Of a filesystem that is mounted there it asks
// nothing: that may be on a disk which does not answer.
func (t *target) look() (at *os.File, mounted bool, err error) {
	at, err = openBeneath(t.parent, t.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("target path %s: %w", t.path, err)
	}
	above, err := dir.MountID(t.parent)
	if err == nil {
		var id uint64
		id, err = dir.MountID(at)
		mounted = id != above
	}
	if err != nil {
		at.Close()
		return nil, false, err
	}
	return at, mounted, nil
}
