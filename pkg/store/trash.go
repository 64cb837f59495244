package store

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
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

// entry is an entry of the trash, by what its name says.
type entry struct {
	file string
	name string // of the volume's directory
	// deleted is zero for one that is being purged.
	deleted time.Time
}

func newEntry(name string, deleted time.Time) entry {
	deleted = deleted.UTC().Truncate(time.Second)
	return entry{name + "." + deleted.Format(momentLayout) + "." + uuid.NewString(), name, deleted}
}

// purging stands in place of the moment.
const purging = "purge"

// parseEntry reads the name of an entry.
func parseEntry(file string) (e entry, ok bool) {
	rest, id, ok := cutLast(file)
	if !ok || !disk.UUIDPattern.MatchString(id) {
		return entry{}, false
	}
	name, moment, ok := cutLast(rest)
	if !ok || name == "" {
		return entry{}, false
	}
	if moment == purging {
		return entry{file: file, name: name}, true
	}
	deleted, err := time.Parse(momentLayout, moment)
	if err != nil {
		return entry{}, false
	}
	return entry{file, name, deleted}, true
}

// cutLast cuts a name at its last dot.
func cutLast(name string) (before, after string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// isPurging reports whether nothing brings the entry back: it is being purged, or
// was never a volume but what a crash left half built.
func (e entry) isPurging() bool {
	return e.deleted.IsZero() || strings.HasPrefix(e.name, newPrefix)
}

// purgingName is what an entry is called once it is being purged.
func (e entry) purgingName() string {
	if e.deleted.IsZero() {
		return e.file
	}
	_, id, _ := cutLast(e.file)
	return e.name + "." + purging + "." + id
}

// moveToTrash takes an entry of volumes/ out of use. Once it returns, no power
// cut brings the entry back.
func moveToTrash(root, volumes *dir.Dir, name string) (entry, error) {
	trash, err := root.Sub(disk.TrashDir)
	if err != nil {
		return entry{}, err
	}
	defer trash.Close()
	e := newEntry(name, time.Now())
	if err := volumes.RenameTo(name, trash, e.file); err != nil {
		return entry{}, err
	}
	// Never is the entry on disk in neither: where it goes comes first.
	return e, errors.Join(trash.Sync(), volumes.Sync())
}

// listTrash lists what is in the trash, the oldest first.
func listTrash(root *dir.Dir) ([]entry, error) {
	files, err := root.NamesIn(disk.TrashDir)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, file := range files {
		if e, ok := parseEntry(file); ok {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, entry.compare)
	return all, nil
}

// compare orders entries by age, the oldest first.
func (e entry) compare(other entry) int {
	return cmp.Or(e.deleted.Compare(other.deleted), strings.Compare(e.file, other.file))
}

// readDeleted reads the record of an entry of the trash.
func readDeleted(root *dir.Dir, e entry) (Record, error) {
	volume, err := root.Sub(disk.TrashDir + "/" + e.file)
	if err != nil {
		return Record{}, err
	}
	defer volume.Close()
	return readAnyRecord(volume)
}

// markPurging marks an entry as being purged. From then on nothing brings it back,
// not even a power cut after the first of its files is gone. If somebody else has
// moved the entry meanwhile, the error is fs.ErrNotExist.
func markPurging(root *dir.Dir, e entry) (entry, error) {
	trash, err := root.Sub(disk.TrashDir)
	if err != nil {
		return e, err
	}
	defer trash.Close()
	if e.deleted.IsZero() {
		return e, trash.Sync() // a crash may have come between the mark and its sync
	}
	marked := entry{file: e.purgingName(), name: e.name}
	if err := trash.RenameTo(e.file, trash, marked.file); err != nil {
		return e, err
	}
	return marked, trash.Sync()
}
