package store

import (
	"path"
	"strings"

	"github.com/hostdir/hostdir/pkg/disk"
)

// IsDataOf reports whether a directory, by its path in its filesystem, can be the
// data of a volume, also of one that was deleted. Its disk need not be there.
func IsDataOf(volumeID, directory string) bool {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return false
	}
	directory = strings.TrimSuffix(directory, "//deleted") // as the kernel writes what was removed
	volume, name := path.Split(directory)
	if name != dataDir {
		return false
	}
	within, name := path.Split(path.Clean(volume))
	switch path.Base(within) {
	case disk.VolumesDir:
		return name == id.Name
	case disk.TrashDir:
		e, ok := parseEntry(name)
		return ok && e.name == id.Name
	}
	return false
}
