package store

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// An entry of the trash is a volume's directory under the name
//
//	<name>.<moment>.<uuid>   a deleted volume, which can still be brought back
//	<name>.purge.<uuid>      one that is being purged: nothing brings it back
//
// The moment of the deletion is part of the name, and the uuid keeps apart what
// had the same name, so that one rename does it all. Anything else in the trash
// is not hostdir's.

// momentLayout is ISO 8601's basic form: names of files have no colons.
const momentLayout = "20060102T150405Z"

// discarded is an entry of the trash, by what its name tells.
type discarded struct {
	file string
	name string // of the volume's directory
	// deleted is zero for one that is being purged.
	deleted time.Time
}

func trashName(name string, deleted time.Time) string {
	return name + "." + deleted.UTC().Format(momentLayout) + "." + uuid.NewString()
}

// purging stands in place of the moment.
const purging = "purge"

// parseTrashName reads the name of an entry. One without moment or "purge" is
// from a hostdir that kept nothing: it was about to be purged.
func parseTrashName(file string) (e discarded, ok bool) {
	name, id, ok := cutLast(file)
	if !ok || name == "" || !uuidPattern.MatchString(id) {
		return discarded{}, false
	}
	before, moment, ok := cutLast(name)
	if !ok || before == "" {
		return discarded{file: file, name: name}, true
	}
	if moment == purging {
		return discarded{file: file, name: before}, true
	}
	if deleted, err := time.Parse(momentLayout, moment); err == nil {
		return discarded{file, before, deleted}, true
	}
	return discarded{file: file, name: name}, true
}

// cutLast cuts a name at its last dot.
func cutLast(name string) (before, after string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// isDoomed tells whether nothing brings the entry back: it is being purged, or was
// never a volume but what a crash left half built.
func (e discarded) isDoomed() bool {
	return e.deleted.IsZero() || strings.HasPrefix(e.name, newPrefix)
}

// doomedName is what an entry is called once it is being purged.
func (e discarded) doomedName() string {
	if e.deleted.IsZero() {
		return e.file
	}
	_, id, _ := cutLast(e.file)
	return e.name + "." + purging + "." + id
}

// moveToTrash takes an entry of volumes/ out of use. Once it returns, no power
// cut brings the entry back.
func (d *dir) moveToTrash(volumes *dir, name string) error {
	trash, err := d.sub(trashDir)
	if err != nil {
		return err
	}
	defer trash.close()
	if err := volumes.renameTo(name, trash, trashName(name, time.Now())); err != nil {
		return err
	}
	// Never is the entry on disk in neither: where it goes comes first.
	return errors.Join(trash.sync(), volumes.sync())
}

// discarded lists what is in the trash, the oldest first.
func (d *dir) discarded() ([]discarded, error) {
	trash, err := d.sub(trashDir)
	if err != nil {
		return nil, err
	}
	defer trash.close()
	files, err := trash.names()
	if err != nil {
		return nil, err
	}
	var all []discarded
	for _, file := range files {
		if e, ok := parseTrashName(file); ok {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b discarded) int {
		return cmp.Or(a.deleted.Compare(b.deleted), strings.Compare(a.file, b.file))
	})
	return all, nil
}

// keeps is how long a deleted volume stays in the trash, and how long at least
// when the pool runs full.
func (b *base) keeps(c Class) (ttl, least time.Duration) {
	b.mu.Lock()
	pool := b.pool
	b.mu.Unlock()
	ttl, ok := c.ttl()
	if !ok {
		ttl = time.Duration(pool.TrashTTL)
	}
	return ttl, min(ttl, pool.minTrashTTL())
}

// until tells when an entry is purged, and from when on that may be done if the
// pool runs full.
func (b *base) until(e discarded, c Class) (until, atLeast time.Time) {
	ttl, least := b.keeps(c)
	return e.deleted.Add(ttl), e.deleted.Add(least)
}

// readDiscarded reads the record of an entry of the trash.
func (d *dir) readDiscarded(e discarded) (Record, error) {
	volume, err := d.sub(trashDir + "/" + e.file)
	if err != nil {
		return Record{}, err
	}
	defer volume.close()
	return volume.readAnyRecord()
}

// doom marks an entry as being purged. From then on nothing brings it back, not
// even a power cut after the first of its files is gone. If somebody else has
// moved the entry meanwhile, the error is fs.ErrNotExist.
func (d *dir) doom(e discarded) (discarded, error) {
	trash, err := d.sub(trashDir)
	if err != nil {
		return e, err
	}
	defer trash.close()
	if e.deleted.IsZero() {
		return e, trash.sync() // a crash may have come between the mark and its sync
	}
	doomed := discarded{file: e.doomedName(), name: e.name}
	if err := trash.renameTo(e.file, trash, doomed.file); err != nil {
		return e, err
	}
	return doomed, trash.sync()
}
