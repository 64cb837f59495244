package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// FindVolume returns the volume that a person means, as it was last seen; it waits
// for no disk. ref is its ID, its name, its PersistentVolume or the claim that it
// was made for, as "namespace/name". It returns ErrNotFound if no disk in use has
// such a volume, and ErrInvalid if there are several.
func (s *Store) FindVolume(ref string) (VolumeStatus, error) {
	var found []VolumeStatus
	for _, v := range s.VolumeStatus() {
		if v.ID == ref { // which no other volume has
			return v, nil
		}
		if ref != "" && v.Dir == ref || v.isCalled(ref) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return VolumeStatus{}, fmt.Errorf("%w: no volume %q is on this node (hostdir volumes lists them)%s", errdefs.ErrNotFound, ref, s.notLookedInto())
	case 1:
		return found[0], nil
	}
	which := make([]string, len(found))
	for i, v := range found {
		which[i] = v.ID
		if v.Quarantine == nil {
			which[i] += " (created " + v.Created.UTC().Format(time.RFC3339) + ")"
		}
	}
	return VolumeStatus{}, fmt.Errorf("%w: %q is the name of %d volumes; name the ID of the one that is meant: %s", errdefs.ErrInvalid, ref, len(found), strings.Join(which, ", "))
}

// isCalled reports whether a person can mean this volume.
func (r *Record) isCalled(ref string) bool {
	return ref != "" && (ref == r.ID || ref == r.Name || ref == r.PersistentVolume || ref == r.Claim.String())
}

// notLookedInto names the disks whose volumes nobody knows.
func (s *Store) notLookedInto() string {
	var paths []string
	for _, p := range s.places() {
		if p.disk == nil {
			paths = append(paths, p.path)
		}
	}
	if len(paths) == 0 {
		return ""
	}
	return "; disks that cannot be used now may have it: " + strings.Join(paths, ", ")
}

// FindDeleted returns the deleted volumes that a person can mean, as they were when
// each trash was last looked at. ref is as in Undelete.
func (s *Store) FindDeleted(ref string) []DeletedVolume {
	var found []DeletedVolume
	for _, d := range s.inUse() {
		for _, t := range d.trashList() {
			if t.is(ref) {
				found = append(found, d.describe(t))
			}
		}
	}
	return found
}
