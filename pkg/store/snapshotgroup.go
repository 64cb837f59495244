package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// GroupID is what the snapshots of a group have in common: their records say it.
func GroupID(name string) (string, error) {
	directory, err := directoryName(name)
	if err != nil {
		return "", err
	}
	return "group." + directory, nil
}

// MemberName is the name of the snapshot of a volume in a group.
func MemberName(group, volumeID string) string {
	sum := sha256.Sum256([]byte(group + "/" + volumeID))
	return "group-" + hex.EncodeToString(sum[:20])
}

// SnapshotsOf lists the snapshots of a group on this node's disks in use, by ID.
func (s *Store) SnapshotsOf(group string) []Snapshot {
	return slices.DeleteFunc(s.Snapshots(), func(each Snapshot) bool { return each.Group != group })
}
