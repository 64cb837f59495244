package store

import (
	"fmt"

	"github.com/hostdir/hostdir/pkg/quota"
)

// detectLimits finds out how volumes made in a base directory can be limited,
// or why not.
func (d *dir) detectLimits() (quota.Quota, error) {
	volumes, err := d.sub(volumesDir)
	if err != nil {
		return quota.Unlimited, err
	}
	defer volumes.close()
	return quota.Detect(volumes.f)
}

// limiter returns how volumes in a base directory are limited, and why they are
// not if the kind is None.
func (b *base) limiter() (quota.Quota, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limits, b.whyUnlimited
}

// minInodes bounds from below how many files a volume may hold.
const minInodes = 1024

// limitFor is what a volume may hold: its capacity, and as many files as a
// filesystem of its size would take that is made like the pool's. d is the base
// directory: below a limit, statfs(2) tells the limit and not the filesystem.
func (d *dir) limitFor(r Record) (quota.Limit, error) {
	limit := quota.Limit{Bytes: r.CapacityBytes}
	room, err := d.room()
	if err != nil {
		return limit, err
	}
	if r.Quota.Kind != quota.Btrfs && room.inodes > 0 {
		share := float64(room.inodes) * min(1, float64(r.CapacityBytes)/float64(room.size))
		limit.Inodes = max(minInodes, int64(share))
	}
	return limit, nil
}

// holds tells whether a limit is in force. The kernel keeps whole blocks, and
// the share of inodes moves with XFS's own count of them.
func holds(limit, want quota.Limit) bool {
	const maxBlock = 64 << 10
	return limit.Bytes >= want.Bytes && limit.Bytes < want.Bytes+maxBlock && (limit.Inodes == 0) == (want.Inodes == 0)
}

// setLimit puts a volume's limit in place.
func (b *base) setLimit(pool, data *dir, r Record) error {
	limits, why := b.limiter()
	if limits.Kind() != r.Quota.Kind {
		return fmt.Errorf("the capacity cannot be enforced: %w", why)
	}
	limit, err := pool.limitFor(r)
	if err != nil {
		return err
	}
	return limits.Set(data.f, r.Quota.ID, limit)
}

// makeData makes a volume's data directory, so that it can be limited if the
// class wants that and the filesystem can, and returns how it is known there.
// done must be called once the volume has its limit, or is not wanted.
func (b *base) makeData(projects *projectIDs, volume *dir, class Class) (q *Quota, done func(), err error) {
	limits, _ := b.limiter()
	done = func() {}
	if class.Quota == QuotaOff || limits.Kind() == quota.None {
		return nil, done, volume.mkdir(dataDir)
	}
	var wish quota.ID
	if limits.Kind() != quota.Btrfs { // btrfs numbers subvolumes itself
		if wish, done, err = projects.take(limits, volume.f); err != nil {
			return nil, nil, err
		}
	}
	id, err := limits.Create(volume.f, dataDir, wish)
	if err != nil {
		done()
		return nil, nil, err
	}
	return &Quota{Kind: limits.Kind(), ID: id}, done, nil
}
