package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Discarded is a deleted volume whose files are still there.
type Discarded struct {
	// Entry is what it is called in the trash, Name the volume's directory.
	Entry, Name string
	// Record is nil if it cannot be read. Such a volume cannot be brought back.
	Record *Record
	// UsedBytes is what it holds, nil if no quota tells.
	UsedBytes *int64
	// Pool is the one that its base directory is in, Path where its files are.
	Pool, Path string
	// Deleted is zero for one that is being purged.
	Deleted time.Time
	// Until is when it is purged, unless the pool runs full before. It is zero
	// for one that is being purged, and one without record: that one stays.
	Until time.Time
	// Stuck is why it could not be removed, nil if nothing went wrong.
	Stuck error
}

// Trash lists the deleted volumes on this node's healthy base directories, the
// oldest first.
func (s *Store) Trash() []Discarded {
	var all []Discarded
	for _, b := range s.snapshot() {
		all = append(all, b.trash()...)
	}
	slices.SortStableFunc(all, func(a, b Discarded) int {
		return cmp.Or(a.Deleted.Compare(b.Deleted), strings.Compare(a.Entry, b.Entry))
	})
	return all
}

func (b *base) trash() []Discarded {
	pool, err := b.open()
	if err != nil {
		return nil // refresh has said so
	}
	defer pool.close()
	entries, err := pool.discarded()
	if err != nil {
		return nil // the purge has said so
	}
	all := make([]Discarded, len(entries))
	for i, e := range entries {
		all[i] = b.describe(pool, e)
	}
	return all
}

func (b *base) describe(pool *dir, e discarded) Discarded {
	b.mu.Lock()
	d := Discarded{
		Entry: e.file, Name: e.name, Deleted: e.deleted, Stuck: b.whyStuck[e.doomedName()],
		Pool: b.pool.Name, Path: b.path + "/" + trashDir + "/" + e.file,
	}
	b.mu.Unlock()
	r, err := pool.readDiscarded(e)
	if err != nil {
		return d
	}
	d.Record = &r
	if !e.isDoomed() {
		d.Until, _ = b.until(e, r.Class)
	}
	if r.Quota == nil {
		return d
	}
	data, err := pool.sub(trashDir + "/" + e.file + "/" + dataDir)
	if err != nil {
		return d
	}
	defer data.close()
	if limits, _ := b.limiter(); limits.Kind() == r.Quota.Kind {
		if _, used, err := limits.Get(data.f, r.Quota.ID); err == nil {
			d.UsedBytes = &used.Bytes
		}
	}
	return d
}

// Undelete brings a deleted volume back, with its ID, its data and its limit.
// which is the volume's ID or name, its entry in the trash, or its claim as
// "namespace/name". It returns ErrNotFound if there is no such volume in the
// trash, or it is being purged; ErrInvalid if there are several; ErrIncompatible
// if its place is taken.
func (s *Store) Undelete(ctx context.Context, which string) (Volume, error) {
	b, d, err := s.findDiscarded(which)
	if err != nil {
		return Volume{}, err
	}
	unlock, err := s.locks.lock(d.Name)
	if err != nil {
		return Volume{}, err
	}
	defer unlock()
	v, err := b.undelete(ctx, d)
	if err != nil {
		return Volume{}, fmt.Errorf("undelete %s: %w", d.Path, err)
	}
	klog.FromContext(ctx).Info("deleted volume brought back", "volumeID", v.ID, "claim", v.Claim.String(), "path", v.Path)
	return v, nil
}

// findDiscarded finds the one deleted volume that is meant.
func (s *Store) findDiscarded(which string) (*base, Discarded, error) {
	var found []Discarded
	var in *base
	for _, b := range s.snapshot() {
		for _, d := range b.trash() {
			if !d.Deleted.IsZero() && d.is(which) {
				found, in = append(found, d), b
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, Discarded{}, fmt.Errorf("%w: no deleted volume %q is in the trash of this node (hostdir trash lists them; one that is being purged cannot be brought back)", errdefs.ErrNotFound, which)
	case 1:
		return in, found[0], nil
	}
	entries := make([]string, len(found))
	for i, d := range found {
		entries[i] = d.Entry
	}
	return nil, Discarded{}, fmt.Errorf("%w: %q is the name of %d deleted volumes; name the entry of the one that is meant: %s", errdefs.ErrInvalid, which, len(found), strings.Join(entries, ", "))
}

// is tells whether a person can mean this volume.
func (d Discarded) is(which string) bool {
	if which == d.Entry || which == d.Name {
		return true
	}
	r := d.Record
	return which != "" && r != nil && (which == r.ID || which == r.Name || which == r.PersistentVolume || which == r.Claim.String())
}

// errPurged is an ErrNotFound: the purge came first.
var errPurged = fmt.Errorf("%w: it is being purged", errdefs.ErrNotFound)

// undelete moves a volume from the trash to its place. The rename is the commit:
// whether it or the purge comes first, the other finds the entry gone.
func (b *base) undelete(ctx context.Context, d Discarded) (Volume, error) {
	pool, err := b.open()
	if err != nil {
		return Volume{}, err
	}
	defer pool.close()
	trash, err := pool.sub(trashDir)
	if err != nil {
		return Volume{}, err
	}
	defer trash.close()
	volume, err := trash.sub(d.Entry)
	if errors.Is(err, fs.ErrNotExist) {
		return Volume{}, errPurged
	}
	if err != nil {
		return Volume{}, err
	}
	defer volume.close()
	r, err := volume.readRecord(VolumeID{Base: b.status().UUID, Name: d.Name})
	if err != nil {
		return Volume{}, err
	}
	volumes, err := pool.sub(volumesDir)
	if err != nil {
		return Volume{}, err
	}
	defer volumes.close()
	switch err := trash.renameTo(d.Entry, volumes, d.Name); {
	case errors.Is(err, fs.ErrExist):
		return Volume{}, fmt.Errorf("%w: %s is there", errdefs.ErrIncompatible, b.dataPath(d.Name))
	case errors.Is(err, fs.ErrNotExist):
		return Volume{}, errPurged
	case err != nil:
		return Volume{}, err
	}
	v := Volume{Record: r, Path: b.dataPath(d.Name)}
	b.setVolume(d.Name, &v)
	if err := errors.Join(volumes.sync(), trash.sync()); err != nil {
		return Volume{}, fmt.Errorf("it is back in its place, but a power cut may undo that: %w", err)
	}
	b.links.Lock()
	defer b.links.Unlock()
	if err := b.linkNewest(pool, r.Claim); err != nil {
		klog.FromContext(ctx).Error(err, "no link under claims for this volume, the next start makes it", "volumeID", r.ID, "claim", r.Claim.String())
	}
	return v, nil
}

// Purge marks a deleted volume to be removed before its time. which is as in
// Undelete.
func (s *Store) Purge(ctx context.Context, which string) (Discarded, error) {
	b, d, err := s.findDiscarded(which)
	if err != nil {
		return Discarded{}, err
	}
	pool, err := b.open()
	if err != nil {
		return Discarded{}, err
	}
	defer pool.close()
	e, _ := parseTrashName(d.Entry)
	_, err = pool.doom(e)
	if errors.Is(err, fs.ErrNotExist) {
		err = errPurged
	}
	if err != nil {
		return Discarded{}, fmt.Errorf("%s cannot be purged: %w", d.Path, err)
	}
	klog.FromContext(ctx).Info("deleted volume is purged before its time, as an operator has asked", "path", b.path, "entry", d.Entry)
	s.wakePurge()
	return d, nil
}
