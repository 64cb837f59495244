package store

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// detectLimits finds out how volumes made on a disk can be limited, or why not.
func (o openDisk) detectLimits(ctx context.Context) {
	o.detecting.Lock()
	defer o.detecting.Unlock()
	limits, why := func() (quota.Quota, error) {
		volumes, err := o.root.Sub(disk.VolumesDir)
		if err != nil {
			return nil, err
		}
		defer volumes.Close()
		return quota.Detect(volumes.File)
	}()
	if why != nil {
		limits = nil
	}
	if dir.IsPassing(why) {
		return // asked again soon
	}
	o.mu.Lock()
	was, known := o.limits, o.limits != nil || o.whyAdvisory != nil
	o.limits, o.whyAdvisory = limits, why
	o.mu.Unlock()
	switch log := klog.FromContext(ctx).WithValues("path", o.path); {
	case !known || quota.KindOf(was) == quota.KindOf(limits):
	case limits == nil:
		log.Error(why, "quotas were switched off: capacity is advisory on this disk now, also of volumes that had a limit")
	default:
		log.Info("quotas were switched on: new volumes are held to their capacity", "quota", quota.KindOf(limits))
	}
}

var errNotDetected = errors.New("it is not known yet how volumes can be limited there")

// limiter returns how volumes on a disk are limited, nil if they are not, and then
// why.
func (d *diskState) limiter() (quota.Quota, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limits == nil && d.whyAdvisory == nil {
		return nil, errNotDetected
	}
	return d.limits, d.whyAdvisory
}

// isQuotaOff reports whether an error says that quotas are switched off.
func isQuotaOff(err error) bool { return errors.Is(err, quota.ErrOff) }

// usualInodes is how many files each volume may hold, however small it is, on a
// filesystem that has four times as many. It guards the other volumes against a
// pod that makes files without end, and is no promise: a small share would stop
// pods that do nothing wrong, on a filesystem that was made for large files.
const usualInodes = 64 << 10

// limitFor is what a volume may hold: its capacity, and as many files as its record
// says, or its class, or as a filesystem of its size would take that is made like the
// disk's. That is asked at the root: below a limit, statfs(2) reports the limit
// and not the filesystem.
func (o openDisk) limitFor(r Record) (quota.Limit, error) {
	limit := quota.Limit{Bytes: r.CapacityBytes, Inodes: r.Quota.Inodes}
	if limit.Inodes > 0 || r.Quota.Kind == quota.Btrfs {
		return limit, nil
	}
	if n, ok := r.Class.InodeLimit(); ok {
		limit.Inodes = n
		return limit, nil
	}
	s, err := o.root.Space()
	if err != nil {
		return limit, err
	}
	if s.Inodes > 0 {
		share := float64(s.Inodes) * min(1, float64(r.CapacityBytes)/float64(s.Size))
		limit.Inodes = max(int64(share), min(usualInodes, s.Inodes/4), 1)
	}
	return limit, nil
}

// holds reports whether a limit is in force. The kernel keeps whole blocks. Where
// the record says nothing of inodes, their share moves with XFS's own count.
func holds(limit, want quota.Limit, r Record) bool {
	const maxBlock = 64 << 10
	if limit.Bytes < want.Bytes || limit.Bytes >= want.Bytes+maxBlock {
		return false
	}
	if r.Quota.Inodes > 0 {
		return limit.Inodes == want.Inodes
	}
	return (limit.Inodes == 0) == (want.Inodes == 0)
}

// setLimit puts a volume's limit in place.
func (o openDisk) setLimit(data *dir.Dir, r Record) error {
	limits, why := o.limiter()
	if quota.KindOf(limits) != r.Quota.Kind {
		return fmt.Errorf("the capacity cannot be enforced: %w", why)
	}
	limit, err := o.limitFor(r)
	if err != nil {
		return err
	}
	return limits.Set(data.File, r.Quota.ID, limit)
}

// makeData makes a volume's data directory, so that it can be limited if the class
// wants that and the filesystem can, and returns the record with how it is known there.
// done must be called once the volume has its limit, or is not wanted. On btrfs it is a
// subvolume, of which there are snapshots, unless the class wants no quota: then it is in
// those that people make of the whole filesystem.
func (o openDisk) makeData(projects *projectIDs, volume *dir.Dir, r Record) (made Record, done func(), err error) {
	limits, _ := o.limiter()
	r.Quota, r.Subvolume, done = nil, 0, func() {}
	switch {
	case r.Class.Quota == config.QuotaOff || limits == nil && o.filesystem != btrfsType:
		return r, done, volume.Mkdir(dataDir)
	case limits == nil:
		r.Subvolume, err = quota.CreateSubvolume(volume.File, dataDir)
		return r, done, err
	}
	q := &Quota{Kind: limits.Kind()}
	if q.Kind != quota.Btrfs { // btrfs numbers subvolumes itself
		if q.ID, done, err = projects.allocate(limits, volume.File); err != nil {
			return r, nil, err
		}
	}
	if q.ID, err = limits.Create(volume.File, dataDir, q.ID); err == nil {
		err = o.setInodes(q, r)
	}
	if err != nil {
		done()
		return r, nil, err
	}
	r.Quota = q
	return r, done, nil
}

// setInodes decides how many files a new volume may hold.
func (o openDisk) setInodes(q *Quota, r Record) error {
	limit, err := o.limitFor(Record{Quota: &Quota{Kind: q.Kind}, CapacityBytes: r.CapacityBytes, Class: r.Class})
	q.Inodes = limit.Inodes
	return err
}

const btrfsType = "btrfs"
