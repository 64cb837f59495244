package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// trashIndex is what a disk's trash held when it was last read, so that whoever
// asks does not wait for the disk, and each record is read but once.
type trashIndex struct {
	byID map[string]*trashed // by trashID
	// evicted counts entries that were purged before their time.
	evicted int
	// settled is when the next one may be, at the earliest.
	settled time.Time
	// committed is when the last sync of the whole filesystem began.
	committed time.Time
}

// trashed is an entry of the trash and what is known of it.
type trashed struct {
	entry
	// record is nil if it cannot be read; recordErr is why.
	record    *Record
	recordErr error
	// used is what it holds, nil if that is not known.
	used *int64
	// purgeErr is why it could not be removed when that was tried.
	purgeErr error
	// freed is how much of that the purge has removed.
	freed int64
	// clearing is set once it is removed and only the filesystem has yet to clear it
	// away.
	clearing bool
	// uncounted is set if it was deleted before anybody counted it, until others
	// are: what it holds is in no figure.
	uncounted bool
	// turns is how often its removal was begun and not finished.
	turns int
	// marked is when it was last renamed, or found.
	marked time.Time
}

func newTrashIndex() trashIndex { return trashIndex{byID: map[string]*trashed{}} }

// trashID identifies an entry before and after it is marked.
func (e entry) trashID() string { return e.purgingName() }

// trashBatch is how many records are read through one descriptor of the disk.
const trashBatch = 64

// readTrash brings the index up to date with the disk. Entries that calls add or
// take away meanwhile are left to them.
func (d *diskState) readTrash() error {
	before := d.trashList()
	there, err := d.listTrash()
	if err != nil {
		return err
	}
	var unread, unseen []trashed
	for _, t := range before {
		id := t.trashID()
		e, ok := there[id]
		delete(there, id)
		if !ok {
			unseen = append(unseen, t)
			continue
		}
		switch t.entry = e; {
		case t.record == nil:
			unread = append(unread, t)
		default:
			d.updateTrashed(id, func(now *trashed) { now.entry = e })
		}
	}
	for _, e := range there {
		unread = append(unread, trashed{entry: e, marked: time.Now()})
	}
	for batch := range slices.Chunk(unread, trashBatch) {
		if err := d.readBatch(batch); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(unseen, trashBatch) {
		if err := d.forgetGone(batch); err != nil {
			return err
		}
	}
	return nil
}

// forgetGone forgets those of a batch that are gone. readdir(3) may miss one that is
// renamed, and so marked, while it lists a directory.
func (d *diskState) forgetGone(batch []trashed) error {
	end := d.calls.begin("looking for what was in the trash", callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	for _, t := range batch {
		// In this order: it may be marked between the two.
		_, asItWas := o.root.Lstat(disk.TrashDir + "/" + t.file)
		_, marked := o.root.Lstat(disk.TrashDir + "/" + t.purgingName())
		if errors.Is(asItWas, fs.ErrNotExist) && errors.Is(marked, fs.ErrNotExist) {
			o.forgetTrashed(t.trashID())
		}
	}
	return nil
}

// listTrash lists what is in the trash, by trashID.
func (d *diskState) listTrash() (map[string]entry, error) {
	end := d.calls.begin("listing the trash", callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return nil, err
	}
	defer o.close()
	entries, err := listTrash(o.root)
	there := make(map[string]entry, len(entries))
	for _, e := range entries {
		there[e.trashID()] = e
	}
	return there, err
}

// readBatch reads entries that the index does not know yet, or not whole.
func (d *diskState) readBatch(batch []trashed) error {
	end := d.calls.begin("reading the trash", callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	for _, t := range batch {
		o.readTrashed(&t)
		o.mu.Lock()
		switch now := o.trash.byID[t.trashID()]; {
		case now != nil:
			now.entry, now.record, now.recordErr, now.used = t.entry, t.record, t.recordErr, t.used
		case !errors.Is(t.recordErr, fs.ErrNotExist): // which was brought back meanwhile
			o.trash.byID[t.trashID()] = &t
		}
		o.mu.Unlock()
	}
	return nil
}

func (o openDisk) readTrashed(t *trashed) {
	r, err := readDeleted(o.root, t.entry)
	if t.recordErr = err; err != nil {
		return
	}
	t.record = &r
	data, err := o.root.Sub(disk.TrashDir + "/" + t.file + "/" + dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		t.used = new(int64) // a purge came as far as that
	}
	if err != nil {
		return
	}
	defer data.Close()
	limits, _ := o.limiter()
	if r.Quota == nil || r.Quota.Kind != quota.KindOf(limits) {
		return
	}
	if _, used, err := limits.Get(data.File, r.Quota.ID); err == nil {
		t.used = &used.Bytes
	}
}

// discard moves a volume that was deleted from the volumes to the trash.
func (d *diskState) discard(e entry, r Record) {
	t := &trashed{entry: e, record: &r, uncounted: true, marked: time.Now()}
	if v := d.volume(e.name); v != nil && v.Usage.At.After(v.Created) { // not since it was made, empty
		used := v.Usage.Bytes
		t.used, t.uncounted = &used, false
		d.addForeign(used) // others' from now on
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trash.byID[t.trashID()] = t
	d.volumes.set(e.name, nil)
	delete(d.publishes, e.name)
}

// restore is the opposite of discard.
func (d *diskState) restore(t trashed) *Volume {
	v := &Volume{Record: *t.record, Dir: t.name, Path: d.dataPath(t.name)}
	if t.used != nil {
		v.Usage = Usage{Bytes: *t.used, At: time.Now()}
	}
	d.mu.Lock()
	delete(d.trash.byID, t.trashID())
	d.volumes.set(t.name, v)
	d.mu.Unlock()
	d.addForeign(-t.foreign())
	return v
}

// foreign returns how much of what others hold an entry is, or at most where that
// is not known.
func (t trashed) foreign() int64 {
	switch {
	case t.uncounted:
		return 0
	case t.used != nil:
		return max(0, *t.used-t.freed)
	case t.record != nil:
		return max(0, t.record.CapacityBytes-t.freed) // if a limit has held
	}
	return math.MaxInt64
}

func (d *diskState) forgetTrashed(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.trash.byID, id)
}

// trashList returns copies of the entries, the oldest first.
func (d *diskState) trashList() []trashed {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]trashed, 0, len(d.trash.byID))
	for _, t := range d.trash.byID {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b trashed) int { return a.compare(b.entry) })
	return all
}

// updateTrashed changes what is known of an entry, if it is still there.
func (d *diskState) updateTrashed(id string, change func(t *trashed)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.trash.byID[id]; t != nil {
		change(t)
	}
}

// retention is how long a deleted volume stays in the trash, and how long at least
// when the disk runs full.
func retention(pool config.Pool, c config.Class) (ttl, least time.Duration) {
	ttl, ok := c.TTL()
	if !ok {
		ttl = time.Duration(pool.TrashTTL)
	}
	return ttl, min(ttl, pool.KeepAtLeast())
}

// why says why an entry stays, for people.
func (t trashed) why() error {
	if t.recordErr != nil && !t.isPurging() {
		return fmt.Errorf("%w; so it is kept, until hostdir purge is told to remove it", t.recordErr)
	}
	return t.purgeErr
}
