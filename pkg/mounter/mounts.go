package mounter

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Mounts finds the mounts that show something of a directory, or lie in it. One
// that is still being prepared is none.
func Mounts(d *os.File) ([]dir.Mount, error) {
	preparing.RLock()
	defer preparing.RUnlock()
	table, at, err := find(d)
	if err != nil {
		return nil, err
	}
	var found []dir.Mount
	inside := map[int]bool{at.mountID: true}
	for _, m := range table {
		f := dir.Mount{ID: m.ID, Target: m.Mountpoint, Restricted: isRestricted(m)}
		if deviceOf(m) == at.device {
			f.Source = below(at.inFilesystem, m.Root)
		}
		// A mount that another one covers may have a path in the directory,
		// and yet lie elsewhere: the mounts that it is in say so.
		if within := below(at.path, m.Mountpoint); within != "" && inside[m.Parent] {
			f.Within = within
			inside[m.ID] = true
		}
		if f.Source != "" || f.Within != "" {
			found = append(found, f)
		}
	}
	return found, nil
}

// isRestricted reports whether a mount has the options that every published volume
// has.
func isRestricted(m *mountinfo.Info) bool {
	options := strings.Split(m.Options, ",")
	return !slices.ContainsFunc(always, func(option string) bool { return !slices.Contains(options, option) })
}

// below returns the path of name in dir, "" if it is not beneath.
func below(dir, name string) string {
	if dir == "/" {
		return strings.TrimPrefix(name, "/")
	}
	rest, ok := strings.CutPrefix(name, dir+"/")
	if !ok {
		return ""
	}
	return rest
}

// position is where a directory is: in which mount, in which directory of its
// filesystem, at which path.
type position struct {
	mountID      int
	device       string
	inFilesystem string
	path         string
}

// find reads the mount table and finds the position of a directory in it.
func find(d *os.File) ([]*mountinfo.Info, position, error) {
	id, err := dir.MountID(d)
	if err != nil {
		return nil, position{}, err
	}
	// The kernel's name of the descriptor: the admin's path to the disk may go
	// through symbolic links.
	name, err := os.Readlink(descriptorPath(d))
	if err != nil {
		return nil, position{}, err
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, position{}, fmt.Errorf("the mount table cannot be read: %w", err)
	}
	at, err := positionIn(table, id, name)
	return table, at, err
}

// positionIn returns the position of the directory of this name, which is on the
// mount of this ID.
func positionIn(table []*mountinfo.Info, id uint64, name string) (position, error) {
	for _, mount := range table {
		if uint64(mount.ID) == id {
			return position{
				mountID:      mount.ID,
				device:       deviceOf(mount),
				inFilesystem: path.Join(mount.Root, strings.TrimPrefix(name, mount.Mountpoint)),
				path:         name,
			}, nil
		}
	}
	return position{}, fmt.Errorf("the mount that holds %s is not in the mount table", name)
}
