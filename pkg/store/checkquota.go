package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/quota"
)

// limitKey is how a filesystem knows what it limits.
type limitKey struct {
	storage string
	kind    quota.Kind
	id      quota.ID
}

// limitOwner is a directory whose record claims a limit: a volume's, or one in
// the trash, which has no name to lock.
type limitOwner struct {
	disk *diskState
	path string // on the disk
	name string

	key   limitKey
	about Finding
}

// limit looks whether a volume's limit holds.
func (l *volumeLook) limit(data *dir.Dir, r Record) {
	if r.Quota == nil {
		return
	}
	limits, why := l.limiter()
	if quota.KindOf(limits) != r.Quota.Kind {
		l.tell(LimitUnsupported, fmt.Sprintf("it was made with a quota of %s, which its filesystem does not keep now: %v", r.Quota.Kind, why),
			"until that is put right nothing holds it to its capacity", nil)
		return
	}
	limit, _, err := limits.Get(data.File, r.Quota.ID)
	if err != nil {
		l.tell(LimitNotInForce, "whether its limit holds is not known: "+err.Error(),
			"if somebody replaced the data directory, put the old one back, or copy the data into a new claim", nil)
		return
	}
	want, err := l.limitFor(r)
	if err != nil {
		l.found(cannotRead(l.about.Path, err))
		return
	}
	if !holds(limit, want, r) {
		what := fmt.Sprintf("its limit is %s, the record says %s", limitText(limit), limitText(want))
		if limit.Bytes == 0 && r.Quota.Kind != quota.Btrfs {
			what += fmt.Sprintf("; project %d has no limit, or %s is not labelled with it", r.Quota.ID, dataDir)
		}
		l.tell(LimitNotInForce, what,
			"find out who changed the quotas; hostdir itself puts the limit back every "+countInterval.String(),
			func() error { return l.setLimit(data, r) })
	}
}

func limitText(l quota.Limit) string {
	switch {
	case l.Bytes == 0:
		return "none"
	case l.Inodes == 0:
		return config.FormatSize(l.Bytes)
	}
	return fmt.Sprintf("%s and %d files", config.FormatSize(l.Bytes), l.Inodes)
}

// ownLimit notes who has a limit.
func (c *checker) ownLimit(owner limitOwner, r Record) {
	if r.Quota == nil {
		return
	}
	owner.key = limitKey{owner.disk.storage, r.Quota.Kind, r.Quota.ID}
	owner.about = Finding{Kind: SharedLimit, Path: owner.disk.path + "/" + owner.path, VolumeID: r.ID, Claim: r.Claim}
	c.owners = append(c.owners, owner)
}

// sharedLimits reports the second who has the same limit.
func (c *checker) sharedLimits(ctx context.Context) {
	firsts := map[limitKey]limitOwner{}
	for _, owner := range c.owners {
		first, taken := firsts[owner.key]
		if !taken || !first.claims(ctx) {
			firsts[owner.key] = owner
			continue
		}
		f := owner.about
		f.Problem = fmt.Sprintf("it has the same %s quota, %d, as %s/%s: both together are held to one limit", owner.key.kind, owner.key.id, first.disk.path, first.path)
		f.Remedy = "one was most likely copied from the other. Copy its data into a new claim, then delete it"
		names := slices.DeleteFunc([]string{first.name, owner.name}, func(name string) bool { return name == "" })
		c.twice(ctx, f, slices.Compact(names), func(found func(Finding)) {
			if first.claims(ctx) && owner.claims(ctx) {
				found(f)
			}
		})
	}
}

// claims reports whether an owner claims the limit still. One without data does
// not: its limit was given back.
func (o limitOwner) claims(ctx context.Context) bool {
	claims, err := run(ctx, o.disk, read, "a check of limits", func() (bool, error) {
		opened, err := o.disk.open()
		if err != nil {
			return false, err
		}
		defer opened.close()
		volume, err := opened.root.Sub(o.path)
		if err != nil {
			return false, err
		}
		defer volume.Close()
		r, err := readAnyRecord(volume)
		if err != nil || r.Quota == nil || r.Quota.Kind != o.key.kind || r.Quota.ID != o.key.id {
			return false, err
		}
		_, err = volume.Lstat(dataDir)
		return err == nil, nil
	})
	return claims && err == nil
}
