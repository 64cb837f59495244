package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/hostdir/hostdir/pkg/quota"
)

// limitKey is how a filesystem knows what it limits.
type limitKey struct {
	device uint64 // the base directory's
	kind   quota.Kind
	id     quota.ID
}

// limitOwner is a directory whose record claims a limit: a volume's, or one in
// the trash, which has no name to lock.
type limitOwner struct {
	base *base
	path string // in the base directory
	name string
}

// limit looks whether a volume's limit holds.
func (l *volumeLook) limit(data *dir, r Record) {
	if r.Quota == nil {
		return
	}
	limits, why := l.base.limiter()
	if limits.Kind() != r.Quota.Kind {
		l.say(LimitUnsupported, fmt.Sprintf("it was made with a quota of %s, which its filesystem does not keep: %v", r.Quota.Kind, why),
			"until that is put right nothing holds it to its capacity", nil)
		return
	}
	limit, _, err := limits.Get(data.f, r.Quota.ID)
	if err != nil {
		l.say(LimitNotInForce, "whether its limit holds cannot be told: "+err.Error(),
			"if somebody replaced the data directory, put the old one back, or copy the data into a new claim", nil)
		return
	}
	want, err := l.pool.limitFor(r)
	if err != nil {
		l.found(cannotRead(l.about.Path, err))
		return
	}
	if !holds(limit, want) {
		what := fmt.Sprintf("its limit is %s, the record says %s", limitText(limit), limitText(want))
		if limit.Bytes == 0 && r.Quota.Kind != quota.Btrfs {
			what += fmt.Sprintf("; project %d has no limit, or %s is not labelled with it", r.Quota.ID, dataDir)
		}
		l.say(LimitNotInForce, what,
			"find out who changed the quotas; hostdir itself puts the limit back every "+countInterval.String(),
			func() error { return l.base.setLimit(l.pool, data, r) })
	}
}

func limitText(l quota.Limit) string {
	if l.Bytes == 0 {
		return "none"
	}
	return formatSize(l.Bytes)
}

// ownLimit notes who has a limit, and reports the second who has the same.
func (c *checker) ownLimit(ctx context.Context, owner limitOwner, r Record) {
	if r.Quota == nil {
		return
	}
	owner.base.mu.Lock()
	key := limitKey{owner.base.inode.device, r.Quota.Kind, r.Quota.ID}
	owner.base.mu.Unlock()
	first, taken := c.owners[key]
	if !taken || !first.has(key) {
		c.owners[key] = owner
		return
	}
	f := Finding{
		Kind: SharedLimit, Path: owner.base.path + "/" + owner.path, VolumeID: r.ID, Claim: r.Claim,
		What: fmt.Sprintf("it has the same %s quota, %d, as %s/%s: both together are held to one limit", r.Quota.Kind, r.Quota.ID, first.base.path, first.path),
		Do:   "one was most likely copied from the other. Copy its data into a new claim, then delete it",
	}
	names := slices.DeleteFunc([]string{first.name, owner.name}, func(name string) bool { return name == "" })
	c.look(ctx, f, slices.Compact(names), func(found func(Finding)) {
		if first.has(key) && owner.has(key) {
			found(f)
		}
	})
}

// has tells whether an owner claims the limit still. One without data does not:
// its limit was given back.
func (o limitOwner) has(key limitKey) bool {
	pool, err := o.base.open()
	if err != nil {
		return false
	}
	defer pool.close()
	volume, err := pool.sub(o.path)
	if err != nil {
		return false
	}
	defer volume.close()
	r, err := volume.readAnyRecord()
	if err != nil || r.Quota == nil || r.Quota.Kind != key.kind || r.Quota.ID != key.id {
		return false
	}
	_, err = volume.lstat(dataDir)
	return err == nil
}
