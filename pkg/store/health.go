package store

import (
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
	// DataLoss is suspected: something is gone from a pool that is well.
	DataLoss
)

// Problem is what is wrong with a volume, or a base directory.
type Problem struct {
	Severity Severity
	// Reason is one word in CamelCase, Message a sentence.
	Reason, Message string
}

// Health tells what is wrong with a volume, nothing if all is well. It returns
// an error for an ID that belongs to no pool of this node.
func (s *Store) Health(volumeID string) ([]Problem, error) {
	id, err := ParseVolumeID(volumeID)
	if err != nil {
		return nil, err
	}
	l, err := s.locate(id)
	switch {
	case err == nil:
		defer l.close()
		return l.problems(), nil
	case errors.Is(err, errdefs.ErrElsewhere):
		return nil, fmt.Errorf("volume %s: %w: %w", id, errdefs.ErrNotFound, err)
	case errors.Is(err, errdefs.ErrNotFound):
		return []Problem{{DataLoss, "DirectoryMissing", err.Error()}}, nil
	case errors.Is(err, errdefs.ErrUnavailable):
		return []Problem{{Inaccessible, "PoolUnavailable", err.Error()}}, nil
	default:
		return []Problem{{Inaccessible, "Quarantined", err.Error()}}, nil
	}
}

func (l *located) problems() []Problem {
	var all []Problem
	if room, err := l.pool.room(); err == nil && room.readOnly {
		all = append(all, Problem{Degraded, "ReadOnly", fmt.Sprintf("the filesystem of %s is read-only", l.base.path)})
	}
	data, err := l.data()
	if err != nil {
		return append(all, Problem{DataLoss, "DirectoryMissing", err.Error()})
	}
	data.close()
	if l.record.Quota == nil {
		return all
	}
	if err := l.base.countVolume(l.pool, l.id.Name, l.record); err != nil {
		all = append(all, Problem{Degraded, "CapacityNotEnforced", err.Error()})
	}
	return all
}

// Problems tells what is wrong with the base directories of this node.
func (s *Store) Problems() []Problem {
	var all []Problem
	for _, status := range s.Status() {
		if status.Err != nil {
			all = append(all, Problem{Inaccessible, "PoolUnavailable",
				fmt.Sprintf("base directory %s of pool %q: %v", status.Path, status.Pool, status.Err)})
		}
	}
	return all
}
