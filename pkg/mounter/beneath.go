package mounter

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostdir/hostdir/pkg/beneath"
)

// Mount is a mount that has to do with a directory.
type Mount struct {
	// ID is the mount's in the mount table, At where it is.
	ID int
	At string
	// Shows is what of the directory is mounted there, a path in it; "" if
	// something else is.
	Shows string
	// Lies is where in the directory At is, "" if outside.
	Lies string
	// Harmless tells that it has the options that every published volume has.
	Harmless bool
}

// Beneath finds the mounts that show something in a directory, or lie in it. One
// that is still being prepared is none.
func Beneath(dir *os.File) ([]Mount, error) {
	preparing.RLock()
	defer preparing.RUnlock()
	table, at, err := find(dir)
	if err != nil {
		return nil, err
	}
	var found []Mount
	inside := map[int]bool{at.mountID: true}
	for _, m := range table {
		f := Mount{ID: m.ID, At: m.Mountpoint, Harmless: true}
		for _, option := range always {
			f.Harmless = f.Harmless && slices.Contains(strings.Split(m.Options, ","), option)
		}
		if deviceOf(m) == at.device {
			f.Shows = below(at.inFilesystem, m.Root)
		}
		// A mount that another one covers may have a path in the directory,
		// and yet lie elsewhere: the mounts that it is in tell.
		if lies := below(at.path, m.Mountpoint); lies != "" && inside[m.Parent] {
			f.Lies = lies
			inside[m.ID] = true
		}
		if f.Shows != "" || f.Lies != "" {
			found = append(found, f)
		}
	}
	return found, nil
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
func find(dir *os.File) ([]*mountinfo.Info, position, error) {
	id, err := beneath.MountID(dir)
	if err != nil {
		return nil, position{}, err
	}
	// The kernel's name of the descriptor: the admin's path to the pool may go
	// through symbolic links.
	name, err := os.Readlink(descriptorPath(dir))
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

// positionIn is the position of the directory of this name, which is on the mount of
// this ID.
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
