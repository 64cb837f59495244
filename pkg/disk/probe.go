package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
)

// Probe is what was found at a path.
type Probe struct {
	Path string
	// Err is why nothing more is known. All below is set if it is nil.
	Err        error
	Inode      dir.Inode
	Filesystem dir.Filesystem
	// Marker is nil in an empty directory.
	Marker *Marker
	// Sign is that of the hostdir which used the disk last.
	Sign Sign
	// MountPoint reports that a disk is mounted there, or at the mount point above
	// that Look was given.
	MountPoint bool
}

// Look probes a path and changes nothing. With a mountPoint, which is the path or
// above it, the directory is refused unless a disk is mounted there and it lies on
// that very disk. before is an earlier probe of the path: whether a disk is mounted
// is not asked again if nothing has changed, for the mount table may be long.
func Look(path, mountPoint string, before Probe) Probe {
	p := Probe{Path: path}
	p.Err = p.look(mountPoint, before)
	return p
}

func (p *Probe) look(mountPoint string, before Probe) error {
	d, err := openOn(mountPoint, p.Path)
	if err != nil {
		return err
	}
	defer d.Close()
	if p.Inode, err = d.Inode(); err != nil {
		return err
	}
	stub, err := d.IsSubvolumeStub()
	if err != nil {
		return err
	}
	if stub {
		return Refuse(Absent, "it is what a snapshot shows in place of a btrfs subvolume: what it is in was rolled back to a snapshot, which leaves subvolumes behind; "+
			"mount the filesystem's top level (mount -o subvolid=5), find the disk's subvolume in `btrfs subvolume list`, and move it here in place of what is here")
	}
	if p.Filesystem, err = d.Filesystem(); err != nil {
		return err
	}
	p.Marker, err = markerOrEmpty(d)
	if err == nil && p.Marker != nil {
		p.Sign, err = ReadSign(d)
	}
	if mountPoint != "" {
		p.MountPoint = true // openOn has seen to it
		return err
	}
	if before.Err == nil && before.Marker != nil && p.Marker != nil && before.Identity() == p.Identity() {
		p.MountPoint = before.MountPoint
		return nil
	}
	// The history remembers the answer: it is no guess.
	mounted := d.CheckMountPoint()
	if mounted != nil && !errors.Is(mounted, dir.ErrNotMounted) {
		return errors.Join(err, mounted)
	}
	p.MountPoint = mounted == nil
	return err
}

// openOn opens a path, and with a mountPoint only what lies on the disk that is
// mounted there.
func openOn(mountPoint, path string) (*dir.Dir, error) {
	if mountPoint == "" {
		return Open(path)
	}
	top, err := Open(mountPoint)
	if err != nil {
		return nil, err
	}
	err = top.CheckMountPoint()
	subPath, below := strings.CutPrefix(path, mountPoint+"/")
	switch {
	case err == nil && !below:
		return top, nil
	case errors.Is(err, dir.ErrNotMounted) && below:
		err = Refuse(Absent, "%s: %w", mountPoint, err)
	case errors.Is(err, dir.ErrNotMounted):
		err = Refuse(Absent, "%w", err)
	}
	defer top.Close()
	if err != nil {
		return nil, err
	}
	d, err := top.Sub(subPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = Refuse(Absent, "it is not there, but a disk is mounted at %s: if that is the right one, make the directory (`mkdir -p %s`): %w", mountPoint, path, err)
	}
	return d, err
}

// markerOrEmpty returns a disk's marker, or nil if the directory is empty.
func markerOrEmpty(d *dir.Dir) (*Marker, error) {
	m, err := loadMarker(d)
	if errors.Is(err, fs.ErrNotExist) {
		empty := checkEmpty(d)
		if empty == nil {
			return nil, nil
		}
		// Another path may show it, and it was made a disk there a moment ago.
		if m, err = loadMarker(d); errors.Is(err, fs.ErrNotExist) {
			return nil, empty
		}
	}
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// Identity returns which disk was found. It is of use if there is a marker.
func (p Probe) Identity() Identity {
	return Identity{UUID: p.Marker.UUID, Generation: p.Marker.Generation, Inode: p.Inode}
}

// holds reports whether p found this disk, on the filesystem that it was made on.
func (p Probe) holds(uuid string) bool {
	return p.Err == nil && p.Marker != nil && p.Marker.UUID == uuid && p.Marker.checkFilesystem(p.Filesystem) == nil
}

// String says what there is, for people.
func (p Probe) String() string {
	switch {
	case p.Err != nil:
		return p.Err.Error()
	case p.Marker == nil:
		return fmt.Sprintf("an empty directory on %s", p.Filesystem)
	case p.Marker.checkFilesystem(p.Filesystem) != nil:
		return fmt.Sprintf("a copy of disk %s on %s, which was made on %s", p.Marker.UUID, p.Filesystem, p.Marker.Filesystem)
	default:
		return fmt.Sprintf("disk %s on %s", p.Marker.UUID, p.Filesystem)
	}
}
