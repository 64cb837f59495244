package store

import (
	"context"
	"errors"

	"k8s.io/klog/v2"
)

// refresh looks at every base directory again, puts to use what may be used and
// logs what changed.
func (s *Store) refresh(ctx context.Context) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	s.use(ctx, s.lookAround(), approval{})
}

// use is refresh for what was seen. The caller holds refreshing.
func (s *Store) use(ctx context.Context, all []*sight, given approval) {
	if s.seen.unreadable != nil { // mended, or removed?
		s.seen.load(ctx)
	}
	s.seen.judge(all, given)
	bases := make([]*base, len(all))
	for i, x := range all {
		bases[i] = s.useOne(ctx, x)
	}
	for i, b := range bases {
		bases[i] = b.unlessMoved(bases)
	}
	s.seen.save(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bases = bases
}

// useOne puts one base directory to use, unless it is refused. One that is another
// than before, or was away, starts anew: what was known of it may not hold any
// more, and calls that are still at work there must not leave their traces.
func (s *Store) useOne(ctx context.Context, x *sight) *base {
	b, was := x.base, x.base.status()
	away := was.Err != nil && refusalOf(was.Err) != Faulty
	if x.refused == nil && was.UUID != "" && (away || !b.is(x)) {
		b.refuse(x.pool, errors.New("it is looked at anew: try again"))
		b = newBase(x.path, x.pool)
	}
	emptied := x.marker == nil
	if x.refused == nil {
		x.refused = b.take(ctx, x, func(uuid string) { s.seen.announce(ctx, uuid) })
	}
	if x.refused != nil {
		b.refuse(x.pool, x.refused)
		b.rememberPool(s.seen.bases[x.path].Pool)
	} else {
		s.report(ctx, x, emptied)
		s.seen.healthy(x)
	}
	now := b.status()
	log := klog.FromContext(ctx).WithValues("path", x.path, "pool", x.pool.Name)
	switch {
	case now.Err != nil && (was.Err == nil || was.Err.Error() != now.Err.Error()):
		log.Error(now.Err, "base directory cannot be used", "reason", refusalOf(now.Err))
	case now.Err == nil && (was.Err != nil || was.UUID != now.UUID):
		log.Info("base directory ready", "uuid", now.UUID, "volumes", now.Volumes, "quota", now.Quota)
		if _, why := b.limiter(); why != nil {
			log.Info("capacity is advisory in this base directory", "reason", why.Error())
		}
		s.seenProjects(b)
	}
	return b
}

// report tells of a base directory that holds another pool than before.
func (s *Store) report(ctx context.Context, x *sight, emptied bool) {
	was := s.seen.bases[x.path]
	if was.Pool == "" || was.Pool == x.marker.UUID {
		return
	}
	log := klog.FromContext(ctx).WithValues("path", x.path, "was", was.String(), "uuid", x.marker.UUID)
	if emptied {
		log.Error(nil, "a pool was here, and the directory is empty: a new pool was made of it")
	} else {
		log.Info("another pool is here now")
	}
}

// unlessMoved is b, or a new one if its pool is used at another path by now: what
// b knows of the pool grows old, should it come back.
func (b *base) unlessMoved(bases []*base) *base {
	was := b.status()
	if was.Err == nil || was.UUID == "" {
		return b
	}
	for _, other := range bases {
		if now := other.status(); now.UUID == was.UUID && now.Err == nil {
			fresh := newBase(b.path, Pool{})
			b.mu.Lock()
			defer b.mu.Unlock()
			fresh.refuse(b.pool, b.broken)
			return fresh
		}
	}
	return b
}
