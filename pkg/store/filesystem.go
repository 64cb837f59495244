package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Filesystem returns the type of the filesystem that a volume's disk is on.
func (s *Store) Filesystem(volumeID string) (string, error) {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return "", err
	}
	d, err := s.diskOf(id)
	if err != nil {
		return "", fmt.Errorf("volume %s: %w", id, err)
	}
	return d.filesystem, nil
}

// CheckFilesystem returns ErrInvalid unless a filesystem is of the type that is
// wanted, if any is.
func CheckFilesystem(want string, has ...string) error {
	if want == "" || slices.Contains(has, want) {
		return nil
	}
	slices.Sort(has)
	return fmt.Errorf("%w: the filesystem type %q is asked for (csi.storage.k8s.io/fstype in the StorageClass, fsType in the PersistentVolume), and here is %s: "+
		"a volume is a directory of its disk's filesystem, hostdir makes none; leave the type out, or name this one",
		errdefs.ErrInvalid, want, strings.Join(slices.Compact(has), ", "))
}
