package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Severity is how bad a problem is.
type Severity int

const (
	// Degraded volumes work, but not as they should.
	Degraded Severity = iota
	// Inaccessible volumes cannot be used now; their data is as it was.
	Inaccessible
	// DataLoss is suspected: something is gone from a disk that is well.
	DataLoss
)

// Problem is what is wrong with a volume, or a disk.
type Problem struct {
	Severity Severity
	// Reason is one word in CamelCase, Message a sentence.
	Reason, Message string
}

// Health returns what is wrong with a volume, nothing if all is well. It returns
// ErrNotFound for a volume that this node does not have: DataLoss is only what the
// store had, and nobody deleted through it.
func (s *Store) Health(ctx context.Context, volumeID string) ([]Problem, error) {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return nil, err
	}
	d, err := s.diskOf(id)
	known := err == nil && d.volume(id.Name) != nil
	var problems []Problem
	if err == nil {
		problems, err = readVolume(ctx, s, volumeID, func(v *openVolume) ([]Problem, error) { return v.problems(), nil })
	}
	switch {
	case err == nil:
		return problems, nil
	case errors.Is(err, errdefs.ErrWrongNode):
		return nil, fmt.Errorf("volume %s: %w: %w", id, errdefs.ErrNotFound, err)
	case errors.Is(err, errdefs.ErrNotFound) && !known:
		return nil, err
	case errors.Is(err, errdefs.ErrNotFound):
		return []Problem{{DataLoss, "DirectoryMissing", err.Error()}}, nil
	case errors.Is(err, errdefs.ErrUnavailable):
		return []Problem{{Inaccessible, "DiskUnavailable", err.Error()}}, nil
	default:
		return []Problem{{Inaccessible, "Quarantined", err.Error()}}, nil
	}
}

func (v *openVolume) problems() []Problem {
	var all []Problem
	if space, err := v.measure(); err == nil && space.ReadOnly {
		all = append(all, Problem{Degraded, "ReadOnly", fmt.Sprintf("the filesystem of %s is read-only", v.path)})
	}
	data, err := v.data()
	if errors.Is(err, errdefs.ErrNotFound) {
		return append(all, Problem{DataLoss, "DirectoryMissing", err.Error()})
	}
	if err != nil {
		return append(all, Problem{Inaccessible, "DataUnreadable", err.Error()})
	}
	data.Close()
	if v.record.Quota == nil {
		return all
	}
	if err := v.countVolume(v.id.Name, v.record); err != nil {
		all = append(all, Problem{Degraded, "CapacityNotEnforced", err.Error()})
	}
	return all
}

// Problems returns what is wrong with the disks of this node.
func (s *Store) Problems() []Problem {
	var all []Problem
	for _, status := range s.Status() {
		if status.Err != nil {
			all = append(all, Problem{Inaccessible, "DiskUnavailable",
				fmt.Sprintf("disk %s of pool %q: %v", status.Path, status.Pool, status.Err)})
		}
	}
	return all
}
