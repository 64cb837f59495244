package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// build is a volume that is being made: aside, synced, renamed.
type build struct {
	store  *Store
	name   string
	record Record
	// unlock gives back the name's lock; kept is set if that is left to a call
	// that still works.
	unlock func()
	kept   bool
}

func (b *build) release() {
	if !b.kept {
		b.unlock()
	}
}

// on makes the volume on a disk. If the disk does not answer, the caller is not
// kept, and on all but the last one is not even for as long as it takes to be sure
// of that: a call that has not come to the commit will not, so that another disk
// or node may be tried. Once it has, nobody knows: the name stays locked until it
// returns.
func (b *build) on(ctx context.Context, d *diskState, last bool) (Volume, error) {
	done, err := b.store.allocate(d, b.record.CapacityBytes)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	defer func() {
		if !b.kept {
			done()
		}
	}()
	finish, err := d.beginBuild(b.name)
	if err != nil {
		return Volume{}, err
	}
	var gate gate
	j, err := start(ctx, d, change, "making volume "+b.name, func() (Volume, error) {
		defer finish()
		return d.create(ctx, b.store, b.name, b.record, &gate)
	})
	if err != nil {
		finish()
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
		}
		return Volume{}, err
	}
	leave := d.calls.inDoubt
	if last {
		leave = d.calls.unresponsive
	}
	v, err := j.waitUnless(ctx, leave)
	if !errors.Is(err, errLeftBehind) {
		return v, err
	}
	abandoned := gate.abandon()
	if !abandoned && ctx.Err() == nil && d.calls.unresponsive() == nil {
		if v, err = j.wait(ctx); !errors.Is(err, errLeftBehind) {
			return v, err
		}
	}
	if abandoned {
		return Volume{}, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, d.unavailable(errors.New("it does not answer")))
	}
	b.kept = true
	go func() {
		<-j.done
		done()
		b.unlock()
	}()
	return Volume{}, err
}

// beginBuild keeps two calls from building a volume of one name at a time: one may
// have been left behind.
func (d *diskState) beginBuild(name string) (finish func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.building[name] {
		return nil, fmt.Errorf("%w: %w clearing away what an earlier call has begun on disk %s", errdefs.ErrNoSpace, errdefs.ErrBusy, d.path)
	}
	d.building[name] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.building, name)
	}, nil
}

// gate is passed once: by the call that commits, or by the caller that leaves.
type gate struct{ passed atomic.Bool }

func (g *gate) commit() bool  { return g.passed.CompareAndSwap(false, true) }
func (g *gate) abandon() bool { return g.passed.CompareAndSwap(false, true) }

var errAbandoned = errors.New("its caller has left")

// create makes a volume on this disk.
func (d *diskState) create(ctx context.Context, s *Store, name string, r Record, g *gate) (Volume, error) {
	end := d.calls.begin("opening the disk", lookPatience)
	o, err := d.open()
	end()
	if err != nil {
		return Volume{}, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	defer o.close()
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return Volume{}, noSpace(err)
	}
	defer volumes.Close()

	r.ID = d.volumeID(name).String()
	building := newPrefix + name
	err = o.clearAway(ctx, volumes, building) // what a crash has left
	if err == nil {
		r, err = o.build(ctx, s.projects, volumes, building, r)
	}
	if err == nil {
		if cordoned := o.cordoned(); cordoned != nil { // a moment ago
			err = fmt.Errorf("%w: disk %s: %w", errdefs.ErrNoSpace, d.path, cordoned)
		}
	}
	if err == nil && !g.commit() {
		err = errAbandoned
	}
	if err == nil {
		err = commit(volumes, building, name)
	}
	if err != nil {
		// Only what this call made: build refuses a name that is taken.
		if undo := o.clearAway(context.WithoutCancel(ctx), volumes, building); undo != nil {
			return Volume{}, fmt.Errorf("%w: %w; what was begun could not be removed: %w", errdefs.ErrBusy, err, undo)
		}
		return Volume{}, noSpace(err)
	}

	v := Volume{Record: r, Dir: name, Path: d.dataPath(name), Usage: Usage{At: r.Created}}
	o.admit(ctx, &v)
	return v, nil
}

// admit makes a volume known that was just committed, and links to it.
func (o openDisk) admit(ctx context.Context, v *Volume) {
	o.setVolume(v.Dir, v)
	o.links.Lock()
	defer o.links.Unlock()
	if err := o.link(v.Claim, v.Dir); err != nil {
		klog.FromContext(ctx).Error(err, "no link under claims for this volume, the next start makes it", "volumeID", v.ID, "claim", v.Claim.String())
	}
}

// build makes the volume's directory under a name that no scan takes for a volume.
// The record is on disk before the volume's ID gets limits, so that they are found
// again after a crash. Where quotas have been switched off, and the class allows
// that, the capacity is advisory.
func (o openDisk) build(ctx context.Context, projects *projectIDs, volumes *dir.Dir, building string, r Record) (Record, error) {
	made, err := o.buildOnce(projects, volumes, building, r)
	if err == nil || !isQuotaOff(err) {
		return made, err
	}
	o.detectLimits(ctx)
	if err := o.refuses(r.Class); err != nil {
		return r, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	if err := o.clearAway(ctx, volumes, building); err != nil {
		return r, err
	}
	return o.buildOnce(projects, volumes, building, r)
}

func (o openDisk) buildOnce(projects *projectIDs, volumes *dir.Dir, building string, r Record) (Record, error) {
	if err := volumes.Mkdir(building); err != nil {
		return r, err
	}
	volume, err := volumes.Sub(building)
	if err != nil {
		return r, err
	}
	defer volume.Close()
	r, done, err := o.makeData(projects, volume, r)
	if err != nil {
		return r, err
	}
	defer done()
	data, err := volume.Sub(dataDir)
	if err != nil {
		return r, err
	}
	defer data.Close()
	// Mode after owner: chown(2) may clear bits of the mode. Both before the record, whose
	// sync then takes them along: a journal is written once for all.
	if err := data.Wrap("fchown", ".", unix.Fchown(data.FD(), int(r.Class.UID), int(r.Class.GID))); err != nil {
		return r, err
	}
	if err := data.Wrap("fchmod", ".", unix.Fchmod(data.FD(), r.Class.FileMode())); err != nil {
		return r, err
	}
	if err := writeRecord(volume, recordFile, r); err != nil {
		return r, err
	}
	if r.Quota != nil {
		if err := o.setLimit(data, r); err != nil {
			return r, err
		}
	}
	return r, errors.Join(data.Sync(), volume.Sync())
}

// commit gives a volume its name. Where that cannot be made durable, the volume
// goes back to the name it was built under.
func commit(volumes *dir.Dir, building, name string) error {
	if err := volumes.RenameTo(building, volumes, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s appeared while hostdir was running; `hostdir check --repair` reads it: %w", volumes.Path(name), err)
		}
		return err
	}
	err := volumes.Sync()
	if err == nil {
		return nil
	}
	if undo := volumes.RenameTo(name, volumes, building); undo != nil {
		return fmt.Errorf("%w: %w; nor could it be undone: %w", errdefs.ErrBusy, err, undo)
	}
	return err
}
