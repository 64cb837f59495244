package store

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Expand raises a volume's capacity to at least requiredBytes and returns what
// it is then. A volume that is large enough already stays as it is: it never
// shrinks. Expand returns ErrNoSpace, and changes nothing, if the disk cannot give
// that much; a smaller request may then be made.
func (s *Store) Expand(ctx context.Context, volumeID string, requiredBytes, limitBytes int64) (capacity int64, err error) {
	if requiredBytes < 0 || limitBytes < 0 {
		return 0, fmt.Errorf("volume %s: %w: the capacity range %d to %d has a negative bound", volumeID, errdefs.ErrInvalid, requiredBytes, limitBytes)
	}
	if limitBytes > 0 && requiredBytes > limitBytes {
		return 0, fmt.Errorf("volume %s: capacity %w: %d bytes are required, but at most %d allowed", volumeID, errdefs.ErrOutOfRange, requiredBytes, limitBytes)
	}
	if limitBytes > 0 && limitBytes < MinCapacity {
		return 0, fmt.Errorf("volume %s: capacity %w: at most %d bytes are allowed, and no volume has less than %s", volumeID, errdefs.ErrOutOfRange, limitBytes, config.FormatSize(MinCapacity))
	}
	return withVolume(ctx, s, volumeID, "expansion", func(v *openVolume) (int64, error) {
		data, err := openData(v.dir, v.record)
		if errors.Is(err, errSubvolumeLeftBehind) {
			return 0, err
		}
		if err == nil {
			data.Close()
		}
		capacity := v.record.CapacityBytes
		if limitBytes > 0 && capacity > limitBytes {
			return 0, fmt.Errorf("capacity %w: it has %s, and volumes do not shrink", errdefs.ErrOutOfRange, config.FormatSize(capacity))
		}
		if requiredBytes <= capacity {
			// A call that failed, or a crash, may have kept it from being synced.
			if err := v.dir.Sync(); err != nil {
				return 0, noSpace(err)
			}
			return capacity, v.finishGrowth(ctx)
		}
		done, err := s.allocate(v.diskState, requiredBytes-capacity)
		if errors.Is(err, errTooSmall) {
			return 0, fmt.Errorf("%w: it has %s and cannot grow to %s: %w", errdefs.ErrNoSpace, config.FormatSize(capacity), config.FormatSize(requiredBytes), err)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: it cannot grow now: %w", errdefs.ErrUnavailable, err)
		}
		defer done()
		if err := v.grow(ctx, requiredBytes); err != nil {
			return 0, noSpace(err)
		}
		klog.FromContext(ctx).Info("volume expanded", "claim", v.record.Claim.String(), "capacityBytes", requiredBytes)
		return requiredBytes, nil
	})
}

// grow writes the new capacity down and then puts it in force: a crash in between
// is put right by the next count, which sets limits from the records.
func (v *openVolume) grow(ctx context.Context, capacity int64) error {
	before := v.record
	v.record.CapacityBytes = capacity
	if err := v.growInodes(before); err != nil {
		return err
	}
	if err := replaceRecord(v.dir, v.record); err != nil {
		return err
	}
	if err := v.finishGrowth(ctx); err != nil {
		return errors.Join(err, replaceRecord(v.dir, before))
	}
	return nil
}

// growInodes gives a volume that grows its share of the filesystem's inodes, and
// never fewer than it had: what XFS reports falls as it fills.
func (v *openVolume) growInodes(before Record) error {
	if before.Quota == nil {
		return nil
	}
	grown, err := v.limitFor(Record{Quota: &Quota{Kind: before.Quota.Kind}, CapacityBytes: v.record.CapacityBytes, Class: before.Class})
	if err != nil {
		return err
	}
	had, err := v.limitFor(before)
	if err != nil {
		return err
	}
	q := *before.Quota
	q.Inodes = max(grown.Inodes, had.Inodes)
	v.record.Quota = &q
	return nil
}

// finishGrowth puts the record's capacity in force unless the store has it already:
// it also completes a call that failed after writing the record. Where quotas are
// off now, the capacity is advisory.
func (v *openVolume) finishGrowth(ctx context.Context) error {
	known := v.diskState.volume(v.id.Name)
	if known != nil && known.CapacityBytes == v.record.CapacityBytes {
		return nil
	}
	if v.enforces(&Volume{Record: v.record}) {
		data, err := v.data()
		if err != nil {
			return err
		}
		defer data.Close()
		err = v.setLimit(data, v.record)
		if isQuotaOff(err) {
			v.detectLimits(ctx)
		}
		if err != nil && v.enforces(&Volume{Record: v.record}) {
			return err
		}
	}
	if known != nil {
		grown := *known
		grown.Record = v.record
		v.setVolume(v.id.Name, &grown)
	}
	return nil
}
