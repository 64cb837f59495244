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
)

// CheckShared returns an error if what is mounted below kubelet's directory would
// be seen by this process alone, and pods would find an empty directory in place of
// their volume. In a container kubelet's pods directory is a mount of its own; where
// it is none, the process sees what the node sees.
func (m *Mounter) CheckShared() error {
	pods := path.Join(m.kubeletDir, "pods")
	d, err := os.OpenFile(pods, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if mounted, err := dir.IsMountRoot(d); err != nil || !mounted {
		return err
	}
	mount, err := dir.MountOf(d)
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(mount.Optional) {
		if strings.HasPrefix(word, "shared:") { // see proc_pid_mountinfo(5)
			return nil
		}
	}
	return fmt.Errorf("%s is not a shared mount: what is mounted there reaches neither the node nor pods, which would find an empty directory; "+
		"hostdir's container needs it with mountPropagation: Bidirectional, and on the node the mount that it is on has to be shared: "+
		"findmnt -o TARGET,PROPAGATION -T %s shows that, mount --make-rshared changes it", pods, m.kubeletDir)
}
