package mounter

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// CheckUnused returns ErrInUse if the directory, or anything beneath it such as
// a subPath of a pod, is mounted anywhere.
func (m *Mounter) CheckUnused(data *os.File) error {
	return checkUnused(data, func(*mountinfo.Info) bool { return true })
}

// CheckUnwritten returns ErrInUse if the directory, or anything beneath it, is mounted
// anywhere so that it can be written to.
func (m *Mounter) CheckUnwritten(data *os.File) error {
	return checkUnused(data, func(mount *mountinfo.Info) bool { return !slices.Contains(strings.Split(mount.Options, ","), "ro") })
}

func checkUnused(data *os.File, counts func(*mountinfo.Info) bool) error {
	table, at, err := find(data)
	if err != nil {
		return err
	}
	mounts := at.mountedIn(slices.DeleteFunc(table, func(mount *mountinfo.Info) bool { return !counts(mount) }))
	if len(mounts) > 0 {
		return fmt.Errorf("it is %w, mounted at %s", errdefs.ErrInUse, strings.Join(mounts, ", "))
	}
	return nil
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
