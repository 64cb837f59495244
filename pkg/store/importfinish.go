package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/tree"
)

// FinishImport makes a volume that was imported one like any other, or goes on with that:
// nothing brings the old PersistentVolume back any more, and what was copied is removed
// from where it was. mayUse refuses that while it is mounted anywhere.
func (s *Store) FinishImport(ctx context.Context, name string, mayUse func(*os.File) error) (Import, error) {
	if id := (VolumeID{Disk: noDisk, Name: name}); !id.isValid() {
		return Import{}, fmt.Errorf("%w: %q is not the name of a volume", errdefs.ErrInvalid, name)
	}
	_, err := s.carryOut(ctx, name, "finish", stay, func(ctx context.Context, j *longJob) error {
		return s.finishImport(ctx, j, name, mayUse)
	})
	if err != nil {
		return Import{}, fmt.Errorf("finishing the import of volume %s: %w", name, err)
	}
	return s.importNow(ctx, name)
}

func (s *Store) finishImport(ctx context.Context, j *longJob, name string, mayUse func(*os.File) error) error {
	d, i, err := s.locateImport(ctx, name)
	switch {
	case err != nil:
		return err
	case i.stage == importNone:
		return fmt.Errorf("%w: no volume of this name was imported on this node", errdefs.ErrNotFound)
	case i.stage == importForgotten:
		return nil
	case i.stage == importBegun:
		return fmt.Errorf("%w: it is no volume yet: finish the import first, or undo it", errdefs.ErrConflict)
	}
	if i.note.Method == ImportCopy {
		if err := s.removeSource(ctx, j, d, name, i, mayUse); err != nil {
			return err
		}
	}
	err = s.onDisk(ctx, d, "finishing an import", func(o openDisk) error {
		volume, err := o.root.Sub(disk.VolumesDir + "/" + name)
		if err != nil {
			return err
		}
		defer volume.Close()
		return errors.Join(volume.Unlink(importFile), volume.Sync())
	})
	if err == nil {
		klog.FromContext(ctx).Info("import finished", "volumeID", i.record.ID, "claim", i.record.Claim.String(), "source", i.note.Source)
	}
	return err
}

// removeSource removes the directory that was copied. First it is written down that there
// is no way back; then, if it is still the directory that was copied, and the copy is
// there, it is removed.
func (s *Store) removeSource(ctx context.Context, j *longJob, d *diskState, name string, i imported, mayUse func(*os.File) error) error {
	x, err := s.openSource(i.note.Source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // with what it was in
	}
	if err != nil {
		return err
	}
	defer x.close()
	source, err := x.openAs(i.note.Identity, mayUse)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	source.Close()
	err = s.onDisk(ctx, d, "finishing an import", func(o openDisk) error {
		v, err := o.find(o.volumeID(name))
		if err != nil {
			return err
		}
		defer v.close()
		data, err := v.data()
		if err != nil {
			return err
		}
		data.Close()
		i.note.Finishing = true
		return i.note.write(v.dir)
	})
	if err != nil {
		return err
	}
	j.begin(Removing, tree.Size{}, nil)
	if err := x.parent.RemoveTree(ctx, x.name); err != nil {
		return fmt.Errorf("the old directory was not removed as a whole, and the same order goes on: %w", err)
	}
	return x.parent.Sync()
}
