package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Mounter publishes volumes below kubelet's directory. It keeps no state of
// volumes; calls for one volume must not overlap.
type Mounter struct {
	kubeletDir string
	mounts     mount.Interface
	// shared is set once CheckShared has found no fault: a mount's propagation does
	// not change by itself, and to look at it takes reading the mount table.
	shared atomic.Bool
}

// New returns a Mounter for target paths below kubeletDir.
func New(kubeletDir string, mounts mount.Interface) (*Mounter, error) {
	if !path.IsAbs(kubeletDir) || path.Clean(kubeletDir) == "/" {
		return nil, fmt.Errorf("%w: kubelet's directory %q is not an absolute path", errdefs.ErrInvalid, kubeletDir)
	}
	return &Mounter{kubeletDir: path.Clean(kubeletDir), mounts: mounts}, nil
}

// PublishOptions is how a volume is to be mounted.
type PublishOptions struct {
	// TargetPath is where. Its parent directory must exist.
	TargetPath string
	// Options are mount options that CheckOptions accepts, besides nosuid and
	// nodev.
	Options []string
	// Exclusive refuses a volume that is mounted anywhere else.
	Exclusive bool
}

// Publish mounts the data directory at the target path, with options that the
// caller has checked. Where just that is mounted already there is nothing to do.
// Otherwise it returns ErrConflict if the path is taken, ErrInUse if the volume
// is published elsewhere and has to be exclusive, and leaves nothing behind.
func (m *Mounter) Publish(data *os.File, p PublishOptions) error {
	t, err := m.openTarget(p.TargetPath)
	if err != nil {
		return err
	}
	defer t.close()
	at, mounted, err := t.look()
	if err != nil {
		return err
	}
	made := at == nil
	if !made {
		defer at.Close()
	}
	if mounted {
		return compatible(at, data, p)
	}
	if !m.shared.Load() {
		if err := m.CheckShared(); err != nil {
			return err
		}
		m.shared.Store(true)
	}
	if p.Exclusive {
		if err := m.CheckUnused(data); err != nil {
			return err
		}
	}
	if made {
		if err := unix.Mkdirat(int(t.parent.Fd()), t.name, 0o750); err != nil {
			return &fs.PathError{Op: "mkdirat", Path: t.path, Err: err}
		}
	}
	options := slices.Concat(always, p.Options)
	if err := m.mounts.Mount(descriptorPath(data), t.reference(), "", options); err != nil {
		if made {
			err = errors.Join(err, t.rmdir())
		}
		return fmt.Errorf("%s cannot be mounted at %s: %w", data.Name(), t.path, err)
	}
	return nil
}

// compatible returns ErrConflict unless what is mounted at the target is the
// data directory, as asked.
func compatible(at, data *os.File, p PublishOptions) error {
	same, err := isSame(at, data)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("target path %s %w: something else is mounted there", p.TargetPath, errdefs.ErrConflict)
	}
	source, err := flagsOf(data)
	if err != nil {
		return err
	}
	here, err := flagsOf(at)
	if err != nil {
		return err
	}
	for _, option := range []string{"ro", "noexec"} {
		// What the disk's own mount has, every volume on it has as well.
		want := slices.Contains(p.Options, option) || source.has(option)
		if is := here.has(option); is != want {
			return fmt.Errorf("target path %s %w: the volume is mounted there with %s=%t, requested is %t", p.TargetPath, errdefs.ErrConflict, option, is, want)
		}
	}
	return nil
}

// isSame reports whether two descriptors are of one directory.
func isSame(a, b *os.File) (bool, error) {
	one, err := dir.InodeOf(a)
	if err != nil {
		return false, err
	}
	other, err := dir.InodeOf(b)
	return one == other, err
}

// maxStacked bounds how many mounts on one target path Unpublish takes away.
// hostdir makes one; a fault may leave a second.
const maxStacked = 16

// Unpublish unmounts the target path and removes its directory, even if the disk
// that is mounted there does not answer. A path that is gone is no error. Files
// found in the directory below the mount are nobody's that hostdir knows: they are
// left there, with an error.
//
// A path below another root directory of kubelet's is unmounted where the volume is
// what is mounted there. isVolume reports whether a directory can be the volume's
// data, by its path in its filesystem: nothing else is known of a disk that is away.
func (m *Mounter) Unpublish(targetPath string, isVolume func(root string) bool) error {
	if !strings.HasPrefix(targetPath, m.kubeletDir+"/") {
		return m.unpublishElsewhere(targetPath, isVolume)
	}
	t, err := m.openTarget(targetPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.close()
	return m.takeAway(t)
}

// takeAway unmounts a target and removes its directory.
func (m *Mounter) takeAway(t *target) error {
	for range maxStacked {
		at, mounted, err := t.look()
		if err != nil || at == nil {
			return err
		}
		at.Close()
		if !mounted {
			return t.rmdir()
		}
		err = m.unmount(t)
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("target path %s is %w: a process still uses it; trying again later", t.path, errdefs.ErrBusy)
		}
		if err != nil {
			return fmt.Errorf("target path %s cannot be unmounted: %w", t.path, err)
		}
	}
	return fmt.Errorf("target path %s: more than %d mounts lie on each other; look at them with findmnt", t.path, maxStacked)
}

// busyPatience is how long an unmount is tried again that somebody is in the way
// of: who only looks at the volume, as for its statistics, is gone in a moment, and
// nobody should get a Warning for that.
const busyPatience = 500 * time.Millisecond

func (m *Mounter) unmount(t *target) error {
	for until := time.Now().Add(busyPatience); ; time.Sleep(10 * time.Millisecond) {
		err := m.mounts.Unmount(t.reference())
		if !errors.Is(err, unix.EBUSY) || time.Now().After(until) {
			return err
		}
	}
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
	at, mounted, err := t.look()
	if err != nil {
		return err
	}
	if at != nil {
		defer at.Close()
	}
	same := false
	if mounted {
		if same, err = isSame(at, data); err != nil {
			return err
		}
	}
	if !same {
		return fmt.Errorf("%w: the volume is not mounted at %s", errdefs.ErrNotFound, targetPath)
	}
	return nil
}
