package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// DeletedVolume is a deleted volume whose files are still there.
type DeletedVolume struct {
	// Entry is what it is called in the trash, Name the volume's directory.
	Entry, Name string
	// Record is nil if it cannot be read. Such a volume cannot be brought back.
	Record *Record
	// UsedBytes is what it holds, nil if that is not known.
	UsedBytes *int64
	// Pool is the one that its disk is in, Path where its files are.
	Pool, Path string
	// Deleted is zero for one that is being purged.
	Deleted time.Time
	// PurgeAt is when it is purged, unless the disk runs full before. It is zero
	// for one that is being purged, and one without record: that one stays.
	PurgeAt time.Time
	// PurgeErr is why it could not be removed, nil if nothing went wrong.
	PurgeErr error
}

// Trash lists the deleted volumes on this node's disks in use, the oldest first,
// as they were when each trash was last looked at.
func (s *Store) Trash() []DeletedVolume {
	type item struct {
		entry
		DeletedVolume
	}
	var all []item
	for _, d := range s.inUse() {
		for _, t := range d.trashList() {
			all = append(all, item{t.entry, d.describe(t)})
		}
	}
	slices.SortStableFunc(all, func(a, b item) int { return a.compare(b.entry) })
	deleted := make([]DeletedVolume, len(all))
	for i := range all {
		deleted[i] = all[i].DeletedVolume
	}
	return deleted
}

func (d *diskState) describe(t trashed) DeletedVolume {
	pool := d.poolNow()
	v := DeletedVolume{
		Entry: t.file, Name: t.name, Record: t.record, UsedBytes: t.used,
		Pool: pool.Name, Path: d.path + "/" + disk.TrashDir + "/" + t.file,
		Deleted: t.deleted, PurgeErr: t.why(),
	}
	if t.record != nil && !t.isPurging() {
		ttl, _ := retention(pool, t.record.Class)
		v.PurgeAt = t.deleted.Add(ttl)
	}
	return v
}

// Undelete brings a deleted volume back, with its ID, its data and its limit. ref
// is the volume's ID or name, its entry in the trash, or its claim as
// "namespace/name". It returns ErrNotFound if there is no such volume in the
// trash, or it is being purged; ErrInvalid if there are several; ErrConflict
// if its place is taken. Nobody's room was kept for it meanwhile: beyond is by how
// much more is allocated now than the disk has, 0 if it fits.
func (s *Store) Undelete(ctx context.Context, ref string) (v Volume, beyond int64, err error) {
	d, t, err := s.findDeleted(ctx, ref)
	if err != nil {
		return Volume{}, 0, err
	}
	unlock, err := s.locks.lock(t.name)
	if err != nil {
		return Volume{}, 0, err
	}
	j, err := start(ctx, d, change, "bringing back "+t.file, func() (Volume, error) {
		defer unlock()
		return d.undelete(ctx, t)
	})
	if err != nil {
		unlock()
		return Volume{}, 0, err
	}
	if v, err = j.wait(ctx); err != nil {
		return Volume{}, 0, fmt.Errorf("undelete %s: %w", t.file, err)
	}
	beyond = d.overAllocated()
	log := klog.FromContext(ctx).WithValues("volumeID", v.ID, "claim", v.Claim.String(), "path", v.Path)
	if beyond > 0 {
		log.Info("deleted volume brought back: more is allocated now than the disk has", "beyond", config.FormatSize(beyond))
	} else {
		log.Info("deleted volume brought back")
	}
	return v, beyond, nil
}

// overAllocated returns by how much more is allocated than there is.
func (d *diskState) overAllocated() int64 {
	f := d.figures()
	return max(0, f.allocated-d.poolNow().Overcommit.Of(max(0, f.size-f.others()-f.reserve)))
}

// findDeleted finds the one deleted volume that is meant.
func (s *Store) findDeleted(ctx context.Context, ref string) (*diskState, trashed, error) {
	var found []trashed
	var in *diskState
	for _, d := range s.inUse() {
		// Somebody else may have been at work in the trash. Of a disk that does
		// not answer, what was read last has to do.
		j, err := start(ctx, d, read, "reading the trash", func() (struct{}, error) { return struct{}{}, d.readTrash() })
		if err == nil {
			_, _ = j.waitUnless(ctx, d.calls.inDoubt)
		}
		for _, t := range d.trashList() {
			if !t.deleted.IsZero() && t.is(ref) {
				found, in = append(found, t), d
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, trashed{}, fmt.Errorf("%w: no deleted volume %q is in the trash of this node (hostdir trash lists them; one that is being purged cannot be brought back)", errdefs.ErrNotFound, ref)
	case 1:
		return in, found[0], nil
	}
	entries := make([]string, len(found))
	for i, t := range found {
		entries[i] = t.file
	}
	return nil, trashed{}, fmt.Errorf("%w: %q is the name of %d deleted volumes; name the entry of the one that is meant: %s", errdefs.ErrInvalid, ref, len(found), strings.Join(entries, ", "))
}

// is reports whether a person can mean this volume.
func (t trashed) is(ref string) bool {
	return ref == t.file || ref == t.name || t.record != nil && t.record.isCalled(ref)
}

// errPurged is an ErrNotFound: the purge came first.
var errPurged = fmt.Errorf("%w: it is being purged", errdefs.ErrNotFound)

// undelete moves a volume from the trash to its place. The rename is the commit:
// whether it or the purge comes first, the other finds the entry gone.
func (d *diskState) undelete(ctx context.Context, t trashed) (Volume, error) {
	o, err := d.open()
	if err != nil {
		return Volume{}, err
	}
	defer o.close()
	trash, err := o.root.Sub(disk.TrashDir)
	if err != nil {
		return Volume{}, err
	}
	defer trash.Close()
	volume, err := trash.Sub(t.file)
	if errors.Is(err, fs.ErrNotExist) {
		return Volume{}, errPurged
	}
	if err != nil {
		return Volume{}, err
	}
	defer volume.Close()
	r, err := readRecord(volume, d.volumeID(t.name))
	if err != nil {
		return Volume{}, err
	}
	if data, err := openData(volume, r); err == nil {
		data.Close()
	} else if errors.Is(err, errSubvolumeLeftBehind) {
		return Volume{}, err
	}
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return Volume{}, err
	}
	defer volumes.Close()
	switch err := trash.RenameTo(t.file, volumes, t.name); {
	case errors.Is(err, fs.ErrExist):
		return Volume{}, fmt.Errorf("%w: %s is there", errdefs.ErrConflict, d.dataPath(t.name))
	case errors.Is(err, fs.ErrNotExist):
		return Volume{}, errPurged
	case err != nil:
		return Volume{}, err
	}
	t.record = &r
	v := d.restore(t)
	if err := errors.Join(volumes.Sync(), trash.Sync()); err != nil {
		return Volume{}, fmt.Errorf("it is back in its place, but a power cut may undo that: %w", err)
	}
	d.links.Lock()
	defer d.links.Unlock()
	if err := o.linkNewest(r.Claim); err != nil {
		klog.FromContext(ctx).Error(err, "no link under claims for this volume, the next start makes it", "volumeID", r.ID, "claim", r.Claim.String())
	}
	return *v, nil
}

// Purge marks a deleted volume to be removed before its time. ref is as in
// Undelete.
func (s *Store) Purge(ctx context.Context, ref string) (DeletedVolume, error) {
	d, t, err := s.findDeleted(ctx, ref)
	if err != nil {
		return DeletedVolume{}, err
	}
	_, err = run(ctx, d, change, "marking "+t.file, func() (entry, error) { return d.mark(t.entry) })
	if errors.Is(err, fs.ErrNotExist) {
		err = errPurged
	}
	if err != nil {
		return DeletedVolume{}, fmt.Errorf("%s cannot be purged: %w", t.file, err)
	}
	klog.FromContext(ctx).Info("deleted volume is purged before its time, as an operator has asked", "path", d.path, "entry", t.file)
	d.wakePurge()
	return d.describe(t), nil
}

// mark is markPurging of a disk that is not open.
func (d *diskState) mark(e entry) (entry, error) {
	end := d.calls.begin("marking "+e.file, callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return e, err
	}
	defer o.close()
	marked, err := markPurging(o.root, e)
	if err != nil {
		return e, err
	}
	d.updateTrashed(e.trashID(), func(t *trashed) {
		if t.entry != marked {
			t.entry, t.marked = marked, time.Now()
		}
	})
	return marked, nil
}
