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

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// An import is built aside and committed by a rename, as a new volume is:
//
//	volumes/.import-<name>/import.json   what is imported, and how it is undone
//	                       volume.json   the record that it will have
//	                       data/         the directory, moved or copied
//
// The first is on disk before anything is done to the directory; from there each step
// is decided by what is found, so that the same order goes on after a crash.

// Import makes a directory a volume, or goes on with that. It returns after some seconds:
// while its state is ImportUnderWay, the same order asks how it comes along.
func (s *Store) Import(ctx context.Context, req ImportRequest, mayUse func(*os.File) error) (Import, error) {
	if err := req.check(); err != nil {
		return Import{}, err
	}
	_, err := s.carryOut(ctx, req.Name, "import", stay, func(ctx context.Context, j *longJob) error {
		return s.importVolume(ctx, j, req, mayUse)
	})
	if err != nil {
		return Import{}, fmt.Errorf("import of %s: %w", req.Source, err)
	}
	return s.importNow(ctx, req.Name)
}

// importVolume takes all steps that are not done yet.
func (s *Store) importVolume(ctx context.Context, j *longJob, req ImportRequest, mayUse func(*os.File) error) error {
	d, i, err := s.findImport(ctx, req)
	if err != nil {
		return err
	}
	if i.stage == importDone || i.stage == importForgotten {
		// A crash may have kept it from being synced, and its link from being made.
		return s.onDisk(ctx, d, "syncing an import", func(o openDisk) error { return o.root.SyncSub(disk.VolumesDir) })
	}
	if i.stage == importNone {
		p, err := s.planImport(ctx, j, req, mayUse)
		if err != nil {
			return err
		}
		d, i.note, i.record = p.disk, p.note, p.record
		done, err := s.allocate(d, p.needs(p.note.Method))
		if err != nil {
			return err
		}
		defer done()
	} else {
		if i.record.ID == "" {
			i.record = req.record(s.node, d)
		}
		// What is there already takes its room, and what was begun is not given up.
		missing := max(0, i.record.CapacityBytes-i.note.Bytes)
		d.addPending(missing)
		defer d.addPending(-missing)
	}
	b := &importBuild{store: s, job: j, disk: d, name: req.Name, note: i.note, record: i.record, mayUse: mayUse}
	return b.build(ctx)
}

// onDisk calls do with an open disk, as a call of its own.
func (s *Store) onDisk(ctx context.Context, d *diskState, what string, do func(o openDisk) error) error {
	_, err := run(ctx, d, change, what, d.opened(do))
	return err
}

// opened returns a call that does something with the open disk.
func (d *diskState) opened(do func(o openDisk) error) func() (struct{}, error) {
	return func() (struct{}, error) {
		o, err := d.open()
		if err != nil {
			return struct{}{}, err
		}
		defer o.close()
		return struct{}{}, do(o)
	}
}

// importBuild is a volume that is being made of a directory.
type importBuild struct {
	store  *Store
	job    *longJob
	disk   *diskState
	name   string
	note   importNote
	record Record
	mayUse func(*os.File) error

	// openDisk and aside last as long as the import: the disk cannot be unmounted while
	// it is copied to.
	openDisk openDisk
	aside    *dir.Dir
}

func (b *importBuild) build(ctx context.Context) (err error) {
	if b.openDisk, err = b.disk.open(); err != nil {
		return err
	}
	defer b.openDisk.close()
	if b.aside, err = b.layOut(); err != nil {
		return noSpace(err)
	}
	defer func() { b.aside.Close() }()
	if b.note.Method == ImportRename {
		err = b.move(ctx)
		if errors.Is(err, errCannotMove) {
			klog.FromContext(ctx).Info("the directory cannot be moved to the disk, although it is on the same filesystem: it is copied", "source", b.note.Source, "path", b.disk.path, "reason", err.Error())
			err = b.turnToCopy()
		}
	}
	if err == nil && b.note.Method == ImportCopy {
		err = b.copy(ctx)
	}
	if err == nil {
		err = b.sync()
	}
	if err == nil {
		err = b.commit(ctx)
	}
	return noSpace(err)
}

// alive ends long work once the disk is not the one in use any more.
func (b *importBuild) alive() error { return b.disk.retiredErr() }

// layOut makes the directory aside, with the note, and opens it.
func (b *importBuild) layOut() (*dir.Dir, error) {
	volumes, err := b.openDisk.root.Sub(disk.VolumesDir)
	if err != nil {
		return nil, err
	}
	defer volumes.Close()
	aside, err := volumes.MakeSub(importPrefix + b.name)
	if err != nil {
		return nil, err
	}
	_, err = aside.Lstat(importFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = b.note.write(aside); err != nil { // nothing was done to anything yet
			_, _, _ = aside.Unlink(importNewFile), aside.Unlink(importFile), volumes.Rmdir(importPrefix+b.name)
		}
	case err == nil: // a crash may have come before that
		err = aside.Sync()
	}
	if err == nil {
		err = volumes.Sync()
	}
	if err != nil {
		aside.Close()
		return nil, err
	}
	return aside, nil
}

// move moves the directory to the disk, gives it to its quota, and limits it.
func (b *importBuild) move(ctx context.Context) error {
	_, err := b.aside.Lstat(dataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = b.rename()
	case err == nil: // a crash may have come before that
		err = errors.Join(b.aside.Sync(), b.store.syncSource(b.note.Source))
	}
	if err != nil {
		return err
	}
	data, err := b.aside.Sub(dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	done, err := b.writeRecord(ctx, data)
	if err != nil {
		return err
	}
	defer done()
	if b.record.Quota == nil {
		return nil
	}
	if err := b.openDisk.setLimit(data, b.record); err != nil {
		return err
	}
	return b.label(ctx, data, quota.Project{ID: b.record.Quota.ID, Inherit: true})
}

// errCannotMove is returned for a directory that has to be copied after all.
var errCannotMove = errors.New("no rename leads to the disk")

// rename moves the directory. Mounted in the container at two places, one filesystem is
// two to rename(2), so it is reached through the disk's own mount.
func (b *importBuild) rename() error {
	x, err := b.store.openSource(b.note.Source)
	if err != nil {
		return err
	}
	defer x.close()
	source, err := x.openAs(b.note.Identity, b.mayUse)
	if err != nil {
		return err
	}
	defer source.Close()
	through, err := x.parent.Through(b.aside)
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%w: %w", errCannotMove, err)
	}
	if err != nil {
		return err
	}
	defer through.Close()
	if err := through.RenameTo(x.name, b.aside, dataDir); errors.Is(err, unix.EXDEV) { // the disk is in a project, say
		return fmt.Errorf("%w: %w", errCannotMove, err)
	} else if err != nil {
		return err
	}
	// Somebody may have put another one in its place.
	moved, err := b.aside.Sub(dataDir)
	if err == nil {
		err = isSame(moved, b.note.Identity)
		moved.Close()
	}
	if err != nil {
		return errors.Join(err, b.aside.RenameTo(dataDir, through, x.name))
	}
	return errors.Join(b.aside.Sync(), through.Sync())
}

func isSame(d *dir.Dir, identity string) error {
	is, err := d.Identity()
	if err == nil && is != identity {
		err = fmt.Errorf("%s is another directory than the one that was looked at: somebody is working there", d.Name())
	}
	return err
}

// writeRecord writes the record, with the quota that the data will have. A crash may
// have come between that and the limit: then nobody knows whose the ID is by now, and
// the volume gets another.
func (b *importBuild) writeRecord(ctx context.Context, data *dir.Dir) (done func(), err error) {
	done = func() {}
	q, err := b.plainQuota(data)
	if err != nil {
		return nil, err
	}
	if q != nil && q.ID == 0 {
		limits, _ := b.disk.limiter()
		if q.ID, done, err = b.store.projects.allocate(limits, b.aside.File); err != nil {
			return nil, err
		}
	}
	b.record.Quota = q
	if err := replaceRecord(b.aside, b.record); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// plainQuota is the quota of what was moved, with the ID that it has already, nil if
// its capacity is advisory.
func (b *importBuild) plainQuota(data *dir.Dir) (*Quota, error) {
	limits, _ := b.disk.limiter()
	if b.record.Class.Quota == config.QuotaOff || limits == nil || limits.Kind() == quota.Btrfs {
		return nil, nil
	}
	q := &Quota{Kind: limits.Kind()}
	limit, err := b.openDisk.limitFor(Record{Quota: &Quota{Kind: q.Kind}, CapacityBytes: b.record.CapacityBytes, Class: b.record.Class})
	if err != nil {
		return nil, err
	}
	q.Inodes = b.inodes(limit)
	is, err := quota.ProjectOf(data.File)
	if had := b.record.Quota; err == nil && had != nil && had.Kind == q.Kind && is == (quota.Project{ID: had.ID, Inherit: true}) {
		q.ID = had.ID
	}
	return q, err
}

// inodes lets a volume have twice the files that it comes with, where its class does not
// say how many.
func (b *importBuild) inodes(limit quota.Limit) int64 {
	if _, ok := b.record.Class.InodeLimit(); ok || limit.Inodes == 0 {
		return limit.Inodes
	}
	return max(limit.Inodes, 2*b.note.Files)
}

// label gives all that is in the data to a project. What can only be given by its name
// needs a new kernel; it takes little room, and counts for nobody without.
func (b *importBuild) label(ctx context.Context, data *dir.Dir, p quota.Project) error {
	return label(ctx, data, b.job.begin(Labelling, tree.Size{Files: b.note.Files}, b.alive), p)
}

func label(ctx context.Context, data *dir.Dir, w *tree.Watch, p quota.Project) error {
	err := tree.Each(ctx, data, w, func(e tree.Entry) error {
		if !e.Is(unix.S_IFDIR) && !e.Is(unix.S_IFREG) {
			err := quota.SetProjectAt(e.Parent.File, e.Name, quota.Project{ID: p.ID})
			if errors.Is(err, errors.ErrUnsupported) {
				return nil
			}
			return err
		}
		f, err := e.Open()
		if err != nil {
			return err
		}
		defer f.Close()
		return quota.SetProject(f.File, quota.Project{ID: p.ID, Inherit: p.Inherit && e.Is(unix.S_IFDIR)})
	})
	if err != nil {
		return fmt.Errorf("not all of %s could be given to its quota: %w", data.Name(), err)
	}
	return quota.SetProject(data.File, p)
}

// turnToCopy is for a directory that turns out not to be movable. Nothing is moved yet.
func (b *importBuild) turnToCopy() error {
	if _, err := b.aside.Lstat(dataDir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: %w", b.aside.Path(dataDir), err)
	}
	b.note.Method = ImportCopy
	return b.note.write(b.aside)
}

// sync makes the data last before it is a volume. A filesystem is synced as a whole:
// there may be a million files.
func (b *importBuild) sync() error {
	return b.aside.Wrap("syncfs", ".", unix.Syncfs(b.aside.FD()))
}

// commit makes a volume of it, if the disk is still the one in use.
func (b *importBuild) commit(ctx context.Context) error {
	return b.store.onDisk(ctx, b.disk, "making volume "+b.name, func(o openDisk) error {
		volumes, err := o.root.Sub(disk.VolumesDir)
		if err != nil {
			return err
		}
		defer volumes.Close()
		aside := importPrefix + b.name
		if err := commit(volumes, aside, b.name); err != nil {
			return err
		}
		v := &Volume{Record: b.record, Dir: b.name, Path: o.dataPath(b.name), Usage: Usage{Bytes: b.note.Bytes, Inodes: b.note.Files, At: time.Now()}}
		o.setVolume(b.name, v)
		b.store.projects.markUsed(b.record.Quota)
		if b.note.Method == ImportRename {
			o.addForeign(-b.note.Bytes) // it was others' before
		}
		klog.FromContext(ctx).Info("directory imported", "volumeID", b.record.ID, "claim", b.record.Claim.String(), "source", b.note.Source, "method", b.note.Method, "path", v.Path)
		o.links.Lock()
		defer o.links.Unlock()
		if err := o.linkNewest(b.record.Claim); err != nil {
			klog.FromContext(ctx).Error(err, "no link under claims for this volume, the next start makes it", "volumeID", b.record.ID, "claim", b.record.Claim.String())
		}
		return nil
	})
}
