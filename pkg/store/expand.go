package store

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Expand raises a volume's capacity to at least requiredBytes and returns what
// it is then. A volume that is large enough already stays as it is: it never
// shrinks. Expand returns ErrNoSpace, and changes nothing, if the pool cannot
// promise that much; a smaller request may then be made.
func (s *Store) Expand(ctx context.Context, volumeID string, requiredBytes, limitBytes int64) (capacity int64, err error) {
	if requiredBytes < 0 || limitBytes < 0 {
		return 0, fmt.Errorf("volume %s: %w: the capacity range %d to %d has a negative bound", volumeID, errdefs.ErrInvalid, requiredBytes, limitBytes)
	}
	if limitBytes > 0 && requiredBytes > limitBytes {
		return 0, fmt.Errorf("volume %s: capacity %w: %d bytes are required, but at most %d allowed", volumeID, errdefs.ErrOutOfRange, requiredBytes, limitBytes)
	}
	err = s.withVolume(ctx, volumeID, func(l *located) error {
		capacity = l.record.CapacityBytes
		if limitBytes > 0 && capacity > limitBytes {
			return fmt.Errorf("capacity %w: it has %s, and volumes do not shrink", errdefs.ErrOutOfRange, formatSize(capacity))
		}
		if requiredBytes <= capacity {
			// A call that failed, or a crash, may have kept it from being synced.
			if err := l.dir.sync(); err != nil {
				return noSpace(err)
			}
			return l.finishGrowth()
		}
		done, err := s.promise(l.base, requiredBytes-capacity)
		if errors.Is(err, errTooSmall) {
			return fmt.Errorf("%w: it has %s and cannot grow to %s: %w", errdefs.ErrNoSpace, formatSize(capacity), formatSize(requiredBytes), err)
		}
		if err != nil {
			return fmt.Errorf("%w: it cannot grow now: %w", errdefs.ErrUnavailable, err)
		}
		defer done()
		if err := l.grow(requiredBytes); err != nil {
			return noSpace(err)
		}
		capacity = requiredBytes
		klog.FromContext(ctx).Info("volume expanded", "claim", l.record.Claim.String(), "capacityBytes", capacity)
		return nil
	})
	return capacity, err
}

// grow writes the new capacity down and then puts it in force: a crash in
// between is mended by the next start, which sets limits from the records.
func (l *located) grow(capacity int64) error {
	before := l.record
	l.record.CapacityBytes = capacity
	if err := l.dir.replaceRecord(l.record); err != nil {
		return err
	}
	if err := l.finishGrowth(); err != nil {
		return errors.Join(err, l.dir.replaceRecord(before))
	}
	return nil
}

// finishGrowth puts the record's capacity in force, if that is not what the
// store goes by: also for a call that failed after it had written the record.
func (l *located) finishGrowth() error {
	v := l.base.volume(l.id.Name)
	if v != nil && v.CapacityBytes == l.record.CapacityBytes {
		return nil
	}
	if l.record.Quota != nil {
		data, err := l.data()
		if err != nil {
			return err
		}
		defer data.close()
		if err := l.base.setLimit(l.pool, data, l.record); err != nil {
			return err
		}
	}
	if v != nil {
		grown := *v
		grown.Record = l.record
		l.base.setVolume(l.id.Name, &grown)
	}
	return nil
}
