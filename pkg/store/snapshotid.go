package store

import (
	"fmt"
	"strings"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// SnapshotID says where a snapshot is: the UUID of the disk's marker and the name of the
// snapshot's directory on the disk.
type SnapshotID struct {
	Disk string
	Name string
}

// String returns the form that Kubernetes keeps as the snapshot handle:
// "<uuid>.snapshots.<name>", at most 110 bytes. No volume's ID looks like that.
func (id SnapshotID) String() string { return id.Disk + snapshotMark + id.Name }

const snapshotMark = "." + disk.SnapshotsDir + "."

// ParseSnapshotID returns ErrNotFound for anything that String cannot have made: no
// snapshot was ever called that.
func ParseSnapshotID(s string) (SnapshotID, error) {
	var id SnapshotID
	id.Disk, id.Name, _ = strings.Cut(s, snapshotMark)
	if !id.isValid() {
		return SnapshotID{}, fmt.Errorf("snapshot %q: %w: hostdir's snapshot IDs have the form <uuid>.%s.<name>", s, errdefs.ErrNotFound, disk.SnapshotsDir)
	}
	return id, nil
}

func (id SnapshotID) isValid() bool { return VolumeID(id).isValid() }
