package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// errSubvolumeLeftBehind is returned for a volume whose data is a btrfs subvolume,
// on a disk that was rolled back to a snapshot of itself, or sent elsewhere: neither
// takes along the subvolumes within. The data may be whole, but is not here.
var errSubvolumeLeftBehind = errors.New("its data was left behind")

// findSubvolume says how to find the data of such a volume.
const findSubvolume = "look for it where the disk was before: mount the filesystem's top level (mount -o subvolid=5), find the subvolume in `btrfs subvolume list`, and move it here in place of what is here; " +
	"or, if the data is lost, put an empty directory in its place"

// openData opens the data directory in a volume's directory. The error is
// fs.ErrNotExist if there is none.
func openData(volume *dir.Dir, r Record) (*dir.Dir, error) {
	data, err := volume.Sub(dataDir)
	if errors.Is(err, fs.ErrNotExist) && r.subvolume() != 0 {
		return nil, leftBehind(volume, r, "is gone; it was a btrfs subvolume, which btrfs send leaves out")
	}
	if err != nil {
		return nil, err
	}
	stub, err := data.IsSubvolumeStub()
	if err == nil && stub {
		err = leftBehind(volume, r, "is what a snapshot shows in place of a btrfs subvolume: the disk was rolled back to a snapshot")
	}
	if err != nil {
		data.Close()
		return nil, err
	}
	return data, nil
}

func leftBehind(volume *dir.Dir, r Record, why string) error {
	return fmt.Errorf("%w: %s %s%s; %s", errSubvolumeLeftBehind, volume.Path(dataDir), why, whereSubvolume(volume, r), findSubvolume)
}

// whereSubvolume says where the data of a volume is, if it is surely that: on another
// filesystem its subvolume's ID may be another subvolume's.
func whereSubvolume(volume *dir.Dir, r Record) string {
	subvolume := r.subvolume()
	if subvolume == 0 {
		return ""
	}
	id, err := ParseVolumeID(r.ID)
	if err != nil {
		return ""
	}
	found, err := quota.SubvolumePath(volume.File, subvolume)
	if err != nil || !strings.HasSuffix("/"+found, "/"+disk.VolumesDir+"/"+id.Name+"/"+dataDir) {
		return ""
	}
	return fmt.Sprintf("; its subvolume %d is %s below the filesystem's top level", subvolume, found)
}
