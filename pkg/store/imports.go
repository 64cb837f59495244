package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// Imports returns the imports that were begun and are not finished, by name. Of a disk
// that does not answer none is known.
func (s *Store) Imports(ctx context.Context) []Import {
	var all []Import
	for _, d := range s.inUse() {
		found, _ := run(ctx, d, read, "listing imports", func() ([]Import, error) { return s.importsOn(d) })
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b Import) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (s *Store) importsOn(d *diskState) ([]Import, error) {
	o, err := d.open()
	if err != nil {
		return nil, err
	}
	defer o.close()
	names, err := o.root.NamesIn(disk.VolumesDir)
	if err != nil {
		return nil, err
	}
	var all []Import
	for _, name := range names {
		inner, aside := strings.CutPrefix(name, importPrefix)
		if v := o.diskState.volume(name); !aside && (v == nil || v.Imported == "") {
			continue
		}
		i, err := o.readImport(inner)
		if err != nil {
			all = append(all, Import{Record: Record{ID: o.volumeID(inner).String(), Name: inner}, Disk: o.path, State: ImportUnderWay, Trouble: err})
		} else if i.stage == importBegun || i.stage == importDone {
			all = append(all, s.describeImport(d, inner, i))
		}
	}
	return all, nil
}

// importNow returns how far an import is. One that is not there was undone.
func (s *Store) importNow(ctx context.Context, name string) (Import, error) {
	d, i, err := s.locateImport(ctx, name)
	if err != nil {
		return Import{}, err
	}
	if i.stage == importNone {
		none := Import{Record: Record{Name: name}, State: ImportUndone}
		if none.Order, none.Progress = s.jobs.running(name); none.Order == "import" {
			none.State = ImportPlanned
		}
		return none, nil
	}
	return s.describeImport(d, name, i), nil
}

// describeImport says of an import on a disk what is known.
func (s *Store) describeImport(d *diskState, name string, i imported) Import {
	found := Import{
		Record: i.record, Disk: d.path, Method: i.note.Method, Source: cmp.Or(i.note.Source, i.record.Imported), Old: i.note.PersistentVolume,
		Enforced: quota.None,
	}
	found.ID, found.Name = d.volumeID(name).String(), name
	found.Size.Files, found.Size.Bytes = i.note.Files, i.note.Bytes
	if i.record.Quota != nil {
		found.Enforced = i.record.Quota.Kind
	}
	switch {
	case i.stage == importBegun:
		found.State = ImportUnderWay
	case i.note.Finishing:
		found.State = ImportFinishing
	case i.stage == importDone:
		found.State = ImportReady
	default:
		found.State = ImportFinished
	}
	if i.stage == importDone || i.stage == importForgotten {
		found.Path = d.dataPath(name)
	}
	found.Order, found.Progress = s.jobs.running(name)
	return found
}
