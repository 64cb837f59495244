package store

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"k8s.io/klog/v2"
)

// Count is what a volume was seen to hold, and when.
type Count struct {
	Bytes, Inodes int64
	// At is zero if the volume was never counted.
	At time.Time
}

// count asks the quotas what each volume holds, puts back limits that somebody
// changed, and takes stock of what others hold on each filesystem.
func (s *Store) count(ctx context.Context) {
	for _, b := range s.snapshot() {
		if ctx.Err() != nil {
			return
		}
		if pool, err := b.open(); err == nil {
			s.countVolumes(ctx, b, pool)
			pool.close()
		}
	}
	for _, b := range s.snapshot() {
		s.countOthers(b)
	}
}

func (s *Store) countVolumes(ctx context.Context, b *base, pool *dir) {
	log := klog.FromContext(ctx)
	for _, v := range b.list() {
		if v.Quota == nil || v.Quarantine != nil || ctx.Err() != nil {
			continue
		}
		id, err := ParseVolumeID(v.ID)
		if err != nil {
			continue // list holds none such
		}
		err = b.countVolume(pool, id.Name, v.Record)
		switch {
		case errors.Is(err, errLimit):
			if err := s.restoreLimit(b, pool, id.Name); err != nil {
				log.Error(err, "the volume's limit is not in force", "volumeID", v.ID, "claim", v.Claim.String())
			} else {
				log.Info("the volume's limit was not in force and is again", "volumeID", v.ID, "claim", v.Claim.String())
			}
		case err != nil && !errors.Is(err, fs.ErrNotExist): // deleted meanwhile
			log.Error(err, "what the volume holds is not known", "volumeID", v.ID, "claim", v.Claim.String())
		}
	}
}

// errLimit tells that a volume's limit is not the one it should have.
var errLimit = errors.New("the limit is not in force")

func (b *base) countVolume(pool *dir, name string, r Record) error {
	data, err := pool.sub(volumesDir + "/" + name + "/" + dataDir)
	if err != nil {
		return err
	}
	defer data.close()
	limits, why := b.limiter()
	if limits.Kind() != r.Quota.Kind {
		return why
	}
	limit, usage, err := limits.Get(data.f, r.Quota.ID)
	if err != nil {
		return err
	}
	b.setCount(name, Count{Bytes: usage.Bytes, Inodes: usage.Inodes, At: time.Now()})
	want, err := pool.limitFor(r)
	if err == nil && !holds(limit, want) {
		err = errLimit
	}
	return err
}

// restoreLimit looks again with the volume locked, and sets its limit.
func (s *Store) restoreLimit(b *base, pool *dir, name string) error {
	unlock, err := s.locks.lock(name)
	if err != nil {
		return nil // a call that changes the volume sets its limit itself
	}
	defer unlock()
	v := b.volume(name)
	if v == nil {
		return nil
	}
	data, err := pool.sub(volumesDir + "/" + name + "/" + dataDir)
	if err != nil {
		return err
	}
	defer data.close()
	return b.setLimit(pool, data, v.Record)
}

// countOthers takes stock of what is on a base directory's filesystem and not
// in volumes. Between two counts the figure errs on the safe side: what volumes
// have written since looks like others'.
func (s *Store) countOthers(b *base) {
	pool, err := b.open()
	if err != nil {
		return
	}
	defer pool.close()
	room, err := pool.room()
	if err != nil {
		return
	}
	var account account
	for _, other := range s.snapshot() {
		account.add(other, room)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.others = max(0, room.size-room.free-account.used)
}
