package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Mounter publishes volumes below kubelet's directory. It keeps no state; calls
// for one volume must not overlap.
type Mounter struct {
	kubeletDir string
	mounts     mount.Interface
}

// New returns a Mounter for target paths below kubeletDir.
func New(kubeletDir string, mounts mount.Interface) (*Mounter, error) {
	if !path.IsAbs(kubeletDir) || path.Clean(kubeletDir) == "/" {
		return nil, fmt.Errorf("%w: kubelet's directory %q is not an absolute path", errdefs.ErrInvalid, kubeletDir)
	}
	return &Mounter{kubeletDir: path.Clean(kubeletDir), mounts: mounts}, nil
}

// Publication is how a volume is to be mounted.
type Publication struct {
	// TargetPath is where. Its parent directory must exist.
	TargetPath string
	// Options are mount options that CheckOptions accepts, besides nosuid and
	// nodev.
	Options []string
	// Exclusive refuses a volume that is mounted anywhere else.
	Exclusive bool
}

// Publish mounts the data directory at the target path. Where just that is
// mounted already there is nothing to do. Otherwise it returns ErrIncompatible
// if the path is taken, ErrInUse if the volume is published elsewhere and has to
// be exclusive, and leaves nothing behind.
func (m *Mounter) Publish(data *os.File, p Publication) error {
	if err := CheckOptions(p.Options); err != nil {
		return err
	}
	t, err := m.openTarget(p.TargetPath)
	if err != nil {
		return err
	}
	defer t.close()
	here, err := t.inspect()
	if err != nil {
		return err
	}
	if here.mounted {
		return here.compatible(data, p)
	}
	if p.Exclusive {
		if err := m.CheckUnused(data); err != nil {
			return err
		}
	}
	if !here.exists {
		if err := unix.Mkdirat(int(t.parent.Fd()), t.name, 0o750); err != nil {
			return &fs.PathError{Op: "mkdirat", Path: t.path, Err: err}
		}
	}
	options := slices.Concat(always, p.Options)
	if err := m.mounts.Mount(descriptorPath(data), t.reference(), "", options); err != nil {
		if !here.exists {
			err = errors.Join(err, t.rmdir())
		}
		return fmt.Errorf("%s cannot be mounted at %s: %w", data.Name(), t.path, err)
	}
	return nil
}

// compatible returns ErrIncompatible unless what is mounted is the data
// directory, as asked.
func (here mountedHere) compatible(data *os.File, p Publication) error {
	id, err := idOf(data)
	if err != nil {
		return err
	}
	if here.file != id {
		return fmt.Errorf("target path %s %w: something else is mounted there", p.TargetPath, errdefs.ErrIncompatible)
	}
	source, err := statfsFlags(data)
	if err != nil {
		return err
	}
	for option, flag := range map[string]int64{"ro": unix.ST_RDONLY, "noexec": unix.ST_NOEXEC} {
		// What the pool's own mount has, every volume in it has as well.
		want := slices.Contains(p.Options, option) || source&flag != 0
		if is := here.flags&flag != 0; is != want {
			return fmt.Errorf("target path %s %w: the volume is mounted there with %s=%t, asked is %t", p.TargetPath, errdefs.ErrIncompatible, option, is, want)
		}
	}
	return nil
}

// maxStacked bounds how many mounts on one target path Unpublish takes away.
// hostdir makes one; a fault may leave a second.
const maxStacked = 16

// Unpublish unmounts the target path and removes its directory. A path that is
// gone is no error. Files found in the directory below the mount are nobody's
// that hostdir knows: they are left there, with an error.
func (m *Mounter) Unpublish(targetPath string) error {
	t, err := m.openTarget(targetPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.close()
	for range maxStacked {
		here, err := t.inspect()
		if err != nil || !here.exists {
			return err
		}
		if !here.mounted {
			return t.rmdir()
		}
		err = m.mounts.Unmount(t.reference())
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("target path %s is %w: a process still uses it; trying again later", targetPath, errdefs.ErrBusy)
		}
		if err != nil {
			return fmt.Errorf("target path %s cannot be unmounted: %w", targetPath, err)
		}
	}
	return fmt.Errorf("target path %s: more than %d mounts lie on each other; look at them with findmnt", targetPath, maxStacked)
}

func (t *target) rmdir() error {
	err := unix.Unlinkat(int(t.parent.Fd()), t.name, unix.AT_REMOVEDIR)
	switch {
	case err == nil || err == unix.ENOENT:
		return nil
	case err == unix.ENOTEMPTY:
		return fmt.Errorf("target path %s is not mounted, yet not empty: its files are left alone; move them away", t.path)
	default:
		return &fs.PathError{Op: "rmdir", Path: t.path, Err: err}
	}
}

// CheckPublished returns ErrNotFound unless the data directory is mounted at
// the path.
func (m *Mounter) CheckPublished(data *os.File, targetPath string) error {
	t, err := m.openTarget(targetPath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errdefs.ErrInvalid) {
		return fmt.Errorf("%w: %w", errdefs.ErrNotFound, err)
	}
	if err != nil {
		return err
	}
	defer t.close()
	here, err := t.inspect()
	if err != nil {
		return err
	}
	id, err := idOf(data)
	if err != nil {
		return err
	}
	if !here.mounted || here.file != id {
		return fmt.Errorf("%w: the volume is not mounted at %s", errdefs.ErrNotFound, targetPath)
	}
	return nil
}
