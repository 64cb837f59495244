package mounter

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostdir/hostdir/pkg/beneath"
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
func mountsOf(dir *os.File) ([]string, error) {
	id, err := beneath.MountID(dir)
	if err != nil {
		return nil, err
	}
	// The kernel's name of the descriptor: the admin's path to the pool may go
	// through symbolic links.
	name, err := os.Readlink(descriptorPath(dir))
	if err != nil {
		return nil, err
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("the mount table cannot be read: %w", err)
	}
	return findMounts(table, id, name)
}

// findMounts finds in a mount table where the directory of this name, or
// anything beneath it, is bind-mounted. home is the mount that the name is on.
// The table tells, for each mount, the filesystem and the directory of it that
// was mounted.
func findMounts(table []*mountinfo.Info, home uint64, name string) ([]string, error) {
	var device, inFilesystem string
	for _, mount := range table {
		if uint64(mount.ID) != home {
			continue
		}
		device = deviceOf(mount)
		inFilesystem = path.Join(mount.Root, strings.TrimPrefix(name, mount.Mountpoint))
	}
	if inFilesystem == "" {
		return nil, fmt.Errorf("the mount that holds %s is not in the mount table", name)
	}
	var found []string
	for _, mount := range table {
		if deviceOf(mount) == device && (mount.Root == inFilesystem || strings.HasPrefix(mount.Root, inFilesystem+"/")) {
			found = append(found, mount.Mountpoint)
		}
	}
	return found, nil
}

func deviceOf(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }
