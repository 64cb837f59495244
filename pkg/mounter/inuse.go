package mounter

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// CheckUnused returns ErrInUse if the directory, or anything beneath it such as
// a subPath of a pod, is mounted anywhere.
func (m *Mounter) CheckUnused(data *os.File) error {
	mounts, err := mountsOf(data)
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("it is %w, mounted at %s", errdefs.ErrInUse, strings.Join(mounts, ", "))
	}
	return nil
}

// mountsOf finds where a directory is bind-mounted.
func mountsOf(d *os.File) ([]string, error) {
	table, at, err := find(d)
	if err != nil {
		return nil, err
	}
	return at.mountedIn(table), nil
}

// mountedIn finds in a mount table where a directory, or anything beneath it, is
// bind-mounted. The table names, for each mount, the filesystem and the directory
// of it that was mounted.
func (at position) mountedIn(table []*mountinfo.Info) []string {
	var found []string
	for _, mount := range table {
		if deviceOf(mount) == at.device && (mount.Root == at.inFilesystem || below(at.inFilesystem, mount.Root) != "") {
			found = append(found, mount.Mountpoint)
		}
	}
	return found
}

func deviceOf(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }
