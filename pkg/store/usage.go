package store

import (
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Usage is how much of something there is.
type Usage struct {
	Total, Used, Available int64
}

// VolumeUsage is what a volume can hold and holds. Inodes are zero where the
// filesystem counts none.
type VolumeUsage struct {
	Bytes, Inodes Usage
}

// Usage tells what a volume holds of its capacity: from the quota at once, or
// from the last count if the capacity is advisory. Available is no more than the
// filesystem has. Before that, isPublished is called with the data directory and
// can refuse. Usage returns ErrUnavailable until an advisory volume is counted
// for the first time.
func (s *Store) Usage(volumeID string, isPublished func(data *os.File) error) (VolumeUsage, error) {
	l, err := s.look(volumeID)
	if err != nil {
		return VolumeUsage{}, err
	}
	defer l.close()
	u, err := l.usage(isPublished)
	if err != nil {
		return VolumeUsage{}, fmt.Errorf("volume %s: %w", volumeID, err)
	}
	return u, nil
}

func (l *located) usage(isPublished func(data *os.File) error) (VolumeUsage, error) {
	data, err := l.data()
	if err != nil {
		return VolumeUsage{}, err
	}
	defer data.close()
	if err := isPublished(data.f); err != nil {
		return VolumeUsage{}, err
	}
	room, err := l.pool.room()
	if err != nil {
		return VolumeUsage{}, err
	}
	u := VolumeUsage{
		Bytes:  Usage{Total: l.record.CapacityBytes},
		Inodes: Usage{Total: room.inodes, Available: room.freeInodes},
	}
	if l.record.Quota == nil {
		v := l.base.volume(l.id.Name)
		if v == nil || v.Count.At.IsZero() {
			return VolumeUsage{}, fmt.Errorf("%w: its capacity is advisory, and what it holds has not been counted yet; that takes some minutes after a start", errdefs.ErrUnavailable)
		}
		u.Bytes.Used, u.Inodes.Used = v.Count.Bytes, v.Count.Inodes
	} else {
		limits, _ := l.base.limiter()
		limit, used, err := limits.Get(data.f, l.record.Quota.ID)
		if err != nil {
			return VolumeUsage{}, err
		}
		u.Bytes.Used, u.Inodes.Used = used.Bytes, used.Inodes
		if limit.Inodes > 0 {
			u.Inodes.Total = limit.Inodes
			u.Inodes.Available = min(room.freeInodes, max(0, limit.Inodes-used.Inodes))
		}
	}
	u.Bytes.Available = min(room.free, max(0, u.Bytes.Total-u.Bytes.Used))
	return u, nil
}
