package store

import (
	"context"
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Stat is how much of something there is.
type Stat struct {
	Total, Used, Available int64
}

// VolumeStats is what a volume can hold and holds. Inodes are zero where the
// filesystem counts none.
type VolumeStats struct {
	Bytes, Inodes Stat
}

// Stats returns what a volume holds of its capacity: from the quota at once, or
// from the last count if the capacity is advisory. Available is no more than the
// filesystem has. Before that, isPublished is called with the data directory and
// can refuse. Stats returns ErrUnavailable until an advisory volume is counted for
// the first time.
func (s *Store) Stats(ctx context.Context, volumeID string, isPublished func(data *os.File) error) (VolumeStats, error) {
	return readVolume(ctx, s, volumeID, func(v *openVolume) (VolumeStats, error) { return v.stats(ctx, isPublished) })
}

func (v *openVolume) stats(ctx context.Context, isPublished func(data *os.File) error) (VolumeStats, error) {
	data, err := v.data()
	if err != nil {
		return VolumeStats{}, err
	}
	defer data.Close()
	if err := isPublished(data.File); err != nil {
		return VolumeStats{}, err
	}
	space, err := v.measure()
	if err != nil {
		return VolumeStats{}, err
	}
	st := VolumeStats{
		Bytes:  Stat{Total: v.record.CapacityBytes},
		Inodes: Stat{Total: space.Inodes, Available: space.FreeInodes},
	}
	limited := v.enforces(&Volume{Record: v.record})
	if limited {
		limits, _ := v.limiter()
		limit, used, err := limits.Get(data.File, v.record.Quota.ID)
		switch {
		case isQuotaOff(err): // since a moment ago
			v.detectLimits(ctx)
			limited = false
		case err != nil:
			return VolumeStats{}, err
		}
		st.Bytes.Used, st.Inodes.Used = used.Bytes, used.Inodes
		if limit.Inodes > 0 {
			st.Inodes.Total = limit.Inodes
			st.Inodes.Available = min(space.FreeInodes, max(0, limit.Inodes-used.Inodes))
		}
	}
	if !limited {
		known := v.diskState.volume(v.id.Name)
		if known == nil || known.Usage.At.IsZero() {
			return VolumeStats{}, fmt.Errorf("%w: its capacity is advisory, and what it holds has not been counted yet; that takes some minutes after a start", errdefs.ErrUnavailable)
		}
		st.Bytes.Used, st.Inodes.Used = known.Usage.Bytes, known.Usage.Inodes
	}
	st.Bytes.Available = min(space.Free, max(0, st.Bytes.Total-st.Bytes.Used))
	return st, nil
}
