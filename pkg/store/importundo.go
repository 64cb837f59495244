package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// UndoImport makes a volume the directory again that it was, or goes on with that: what
// was moved is moved back, what was copied goes to the trash. It returns ErrInUse while
// the volume is mounted, as mayUse finds, and has nothing to do if there is no import of
// this name. With keep it does only what the old PersistentVolume needs to be right again,
// and what is known of that stays until the same is asked without.
func (s *Store) UndoImport(ctx context.Context, name string, keep bool, mayUse func(*os.File) error) (Import, error) {
	if id := (VolumeID{Disk: noDisk, Name: name}); !id.isValid() {
		return Import{}, fmt.Errorf("%w: %q is not the name of a volume", errdefs.ErrInvalid, name)
	}
	_, err := s.carryOut(ctx, name, "undo", stay, func(ctx context.Context, j *longJob) error {
		return s.undoImport(ctx, j, name, keep, mayUse)
	})
	if err != nil {
		return Import{}, fmt.Errorf("undoing the import of volume %s: %w", name, err)
	}
	return s.importNow(ctx, name)
}

// noDisk makes an ID of a name, to check it.
const noDisk = "00000000-0000-0000-0000-000000000000"

func (s *Store) undoImport(ctx context.Context, j *longJob, name string, keep bool, mayUse func(*os.File) error) error {
	d, i, err := s.locateImport(ctx, name)
	switch {
	case err != nil:
		return err
	case i.stage == importForgotten:
		return fmt.Errorf("%w: its import was finished, or it was never imported", errdefs.ErrConflict)
	case i.note.Finishing:
		return fmt.Errorf("%w: its old directory %s is being removed, as --finish has asked: the volume holds all that it did", errdefs.ErrConflict, i.note.Source)
	case keep && i.note.Method == ImportCopy:
		return nil // the old directory is as it was
	case i.stage == importDone && i.note.Method == ImportCopy:
		err = s.onDisk(ctx, d, "undoing an import", func(o openDisk) error { return o.deleteCopy(ctx, name, mayUse) })
	case i.stage == importDone:
		if err = s.onDisk(ctx, d, "undoing an import", func(o openDisk) error { return o.takeBack(ctx, name, i, mayUse) }); err == nil {
			err = s.putBack(ctx, j, d, name, i, keep)
		}
	case i.stage == importBegun && i.note.Method == ImportCopy:
		err = s.onDisk(ctx, d, "undoing an import", func(o openDisk) error { return o.clearCopy(name) })
	case i.stage == importBegun:
		err = s.putBack(ctx, j, d, name, i, keep)
	case keep:
		return nil
	default: // an import that did not come as far as its note
		for _, d := range s.inUse() {
			if err := s.onDisk(ctx, d, "undoing an import", func(o openDisk) error { return o.removeAside(name) }); err != nil {
				return err
			}
		}
		return nil
	}
	if err == nil {
		klog.FromContext(ctx).Info("import undone", "volume", name, "claim", i.record.Claim.String(), "source", i.note.Source, "method", i.note.Method)
	}
	return err
}

// deleteCopy moves a volume that is a copy to the trash, as any that is deleted: what was
// written to it since is nowhere else.
func (o openDisk) deleteCopy(ctx context.Context, name string, mayUse func(*os.File) error) error {
	v, err := o.find(o.volumeID(name))
	if err != nil {
		return err
	}
	defer v.close()
	if ttl, _ := retention(o.poolNow(), v.record.Class); ttl < undoneTTL {
		v.record.Class.TrashTTL = undoneTTL.String()
		if err := replaceRecord(v.dir, v.record); err != nil {
			return err
		}
	}
	return v.delete(ctx, mayUse)
}

// undoneTTL is how long a copy is kept at least whose import was undone.
const undoneTTL = 24 * time.Hour

// clearCopy gives what was copied to the purge, as a half-built volume: its original is
// where it was.
func (o openDisk) clearCopy(name string) error {
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	if err := volumes.RenameTo(importPrefix+name, volumes, newPrefix+name); err != nil {
		return err
	}
	if _, err := moveToTrash(o.root, volumes, newPrefix+name); err != nil {
		return err
	}
	o.wakePurge()
	return nil
}

// takeBack makes a volume that was moved no volume: it is aside again.
func (o openDisk) takeBack(ctx context.Context, name string, i imported, mayUse func(*os.File) error) error {
	v, err := o.find(o.volumeID(name))
	if err != nil {
		return err
	}
	defer v.close()
	data, err := v.data()
	if err != nil {
		return err
	}
	err = errors.Join(isSame(data, i.note.Identity), mayUse(data.File))
	data.Close()
	if err != nil {
		return err
	}
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	if err := volumes.RenameTo(name, volumes, importPrefix+name); err != nil {
		return err
	}
	if known := o.diskState.volume(name); known != nil {
		o.setVolume(name, nil)
		o.addForeign(known.Usage.Bytes)
	}
	o.dropLink(ctx, v.record.Claim, name)
	return volumes.Sync()
}

// putBack moves the directory from aside to where it was, as it was.
func (s *Store) putBack(ctx context.Context, j *longJob, d *diskState, name string, i imported, keep bool) error {
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	aside, err := o.root.Sub(disk.VolumesDir + "/" + importPrefix + name)
	if err != nil {
		return err
	}
	defer aside.Close()
	data, err := aside.Sub(dataDir)
	switch {
	case err == nil:
		defer data.Close()
		err = s.moveBack(ctx, j, d, aside, data, i)
	case errors.Is(err, fs.ErrNotExist): // a crash may have come before that
		err = errors.Join(s.syncSource(i.note.Source), aside.Sync())
	}
	if err != nil {
		return err
	}
	if _, err := aside.Lstat(dataDir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is still there: %w", aside.Path(dataDir), err)
	}
	if keep {
		return nil
	}
	if q := i.record.Quota; q != nil && !o.hasLimit(q) {
		if limits, _ := o.limiter(); quota.KindOf(limits) == q.Kind {
			if err := limits.Remove(aside.File, q.ID); err != nil {
				return fmt.Errorf("its limit cannot be removed: %w", err)
			}
		}
	}
	return o.removeAside(name)
}

func (s *Store) moveBack(ctx context.Context, j *longJob, d *diskState, aside, data *dir.Dir, i imported) error {
	if err := isSame(data, i.note.Identity); err != nil {
		return err
	}
	x, err := s.openSource(i.note.Source)
	if err != nil {
		return fmt.Errorf("where it was cannot be reached: %w", err)
	}
	defer x.close()
	if _, err := x.parent.Lstat(x.name); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: something else is at %s by now: move that away", errdefs.ErrConflict, i.note.Source)
	}
	if i.record.Quota != nil && i.note.Project != nil {
		w := j.begin(Labelling, tree.Size{Files: i.note.Files}, d.retiredErr)
		if err := label(ctx, data, w, *i.note.Project); err != nil {
			return err
		}
	}
	through, err := x.parent.Through(aside)
	if err != nil {
		return err
	}
	defer through.Close()
	if err := aside.RenameTo(dataDir, through, x.name); err != nil {
		return err
	}
	// Never is it in neither: where it goes comes first.
	if err := errors.Join(through.Sync(), aside.Sync()); err != nil {
		return err
	}
	return aside.Wrap("syncfs", ".", unix.Syncfs(aside.FD()))
}

// removeAside removes what is left of an import that holds no data. If it does, that
// fails at the end.
func (o openDisk) removeAside(name string) error {
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	aside, err := volumes.Sub(importPrefix + name)
	if errors.Is(err, fs.ErrNotExist) {
		return volumes.Sync() // a crash may have come before
	}
	if err != nil {
		return err
	}
	defer aside.Close()
	if _, err := aside.Lstat(dataDir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is left alone: %w", aside.Path(dataDir), errors.Join(fs.ErrExist, err))
	}
	for _, file := range []string{recordNewFile, recordFile, importNewFile, importFile} { // the note last
		if err := aside.Unlink(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(volumes.Rmdir(importPrefix+name), volumes.Sync())
}
