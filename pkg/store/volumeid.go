package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// VolumeID says where a volume is: the UUID of the disk's marker and the name of
// the volume's directory on the disk. It stays true when the disk moves to another
// path or another machine.
type VolumeID struct {
	Disk string
	Name string
}

// String returns the form that Kubernetes keeps as the volume handle:
// "<uuid>.<name>", at most 100 bytes.
func (id VolumeID) String() string { return id.Disk + "." + id.Name }

const (
	hashedPrefix = "sha256-"
	maxNameBytes = 128 // CSI spec, "Size Limits"
)

// isDirectoryName reports whether a volume's directory can have the name.
func isDirectoryName(name string) bool { return config.IsLabel(name) }

// ParseVolumeID returns ErrNotFound for anything that String cannot have made:
// no volume was ever called that.
func ParseVolumeID(s string) (VolumeID, error) {
	var id VolumeID
	id.Disk, id.Name, _ = strings.Cut(s, ".")
	if !id.isValid() {
		return VolumeID{}, fmt.Errorf("volume %q: %w: hostdir's volume IDs have the form <uuid>.<name>", s, errdefs.ErrNotFound)
	}
	return id, nil
}

func (id VolumeID) isValid() bool {
	return disk.UUIDPattern.MatchString(id.Disk) && isDirectoryName(id.Name)
}

// directoryName turns the name of a CreateVolume call, which may hold nearly
// any Unicode text, into the name of a directory. Names that are safe are kept,
// so that people recognise "pvc-<uuid>"; all others are hashed.
func directoryName(volumeName string) (string, error) {
	if volumeName == "" {
		return "", fmt.Errorf("%w: the volume has no name", errdefs.ErrInvalid)
	}
	if len(volumeName) > maxNameBytes {
		return "", fmt.Errorf("%w: the volume's name has %d bytes, at most %d are allowed", errdefs.ErrInvalid, len(volumeName), maxNameBytes)
	}
	for _, r := range volumeName {
		// CSI spec, CreateVolumeRequest.name: white space is allowed, other
		// control characters are not.
		if unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) {
			return "", fmt.Errorf("%w: the volume's name %q contains the control character %U", errdefs.ErrInvalid, volumeName, r)
		}
	}
	if isDirectoryName(volumeName) && !strings.HasPrefix(volumeName, hashedPrefix) {
		return volumeName, nil
	}
	sum := sha256.Sum256([]byte(volumeName))
	return hashedPrefix + hex.EncodeToString(sum[:20]), nil
}
