package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// targetPattern is where kubelet has volumes published: its root directory, and
// then what is the same below any.
var targetPattern = regexp.MustCompile(`^(/.+)(/pods/[^/]+/volumes/kubernetes\.io~csi/[^/]+/mount)$`)

// splitTarget cuts a target path of kubelet's behind kubelet's root directory.
func splitTarget(targetPath string) (root, tail string, ok bool) {
	parts := targetPattern.FindStringSubmatch(targetPath)
	if parts == nil || path.Clean(targetPath) != targetPath {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// outside is the error for a target path that is not below kubelet's directory.
func (m *Mounter) outside(targetPath string) error {
	err := fmt.Errorf("%w: target path %q is not a plain path below %s, hostdir's --kubelet-dir", errdefs.ErrInvalid, targetPath, m.kubeletDir)
	if root, _, ok := splitTarget(targetPath); ok {
		return fmt.Errorf("%w: kubelet's root directory is %s on this node; set kubeletDir in the chart's values to that, and upgrade", err, root)
	}
	return fmt.Errorf("%w; in the chart's values it is kubeletDir, and has to be kubelet's root directory", err)
}

// unpublishElsewhere unmounts what was published when kubelet's root directory had
// another path, and removes its directory. The mount table says where that is: the
// path that kubelet asks for may lead there by a symbolic link that hostdir's
// container does not have. What a pod has is told by the end of its path, which has
// the pod's UID, and by what is mounted there.
func (m *Mounter) unpublishElsewhere(targetPath string, isVolume func(root string) bool) error {
	_, tail, ok := splitTarget(targetPath)
	if !ok {
		return m.outside(targetPath)
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return fmt.Errorf("the mount table cannot be read: %w", err)
	}
	var found []string
	for _, mount := range table {
		if !strings.HasSuffix(mount.Mountpoint, tail) {
			continue
		}
		if !isVolume(mount.Root) {
			return fmt.Errorf("%w; at %s something is mounted that is not the volume", m.outside(targetPath), mount.Mountpoint)
		}
		found = append(found, mount.Mountpoint)
	}
	for _, at := range slices.Compact(found) {
		if err := m.takeAwayAt(at); err != nil {
			return err
		}
	}
	if len(found) == 0 && !isThere(path.Dir(targetPath)) && !isThere(path.Dir(m.kubeletDir+tail)) {
		// It may be mounted where this container does not see it.
		return m.outside(targetPath)
	}
	return nil
}

// takeAwayAt is Unpublish for a path of the mount table.
func (m *Mounter) takeAwayAt(mountpoint string) error {
	root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer root.Close()
	parent, err := openBeneath(root, strings.TrimPrefix(path.Dir(mountpoint), "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount at %s: its parent directory: %w", mountpoint, err)
	}
	t := &target{mountpoint, parent, path.Base(mountpoint)}
	defer t.close()
	return m.takeAway(t)
}

func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
