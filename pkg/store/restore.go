package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// copyOrder is before the ID of what is copied.
const copyOrder = "copy of "

// createFrom makes a volume that begins as a copy of a snapshot or of another volume, on
// the disk that has that. Where files are copied it returns ErrBusy after some seconds:
// the same request asks how it comes along.
func (s *Store) createFrom(ctx context.Context, req CreateRequest, name string) (Volume, error) {
	b := &restore{store: s, name: name, request: req}
	leave := stay
	if d, err := s.diskOfSource(req.Source); err == nil {
		leave = d.silent
	}
	done, err := s.carryOut(ctx, name, copyOrder+req.Source, leave, b.run)
	if err != nil {
		return Volume{}, err
	}
	if !done {
		_, p := s.jobs.running(name)
		return Volume{}, fmt.Errorf("%w: %s is being copied%s", errdefs.ErrBusy, req.Source, p)
	}
	for _, d := range s.inUse() {
		if v := d.volume(name); v != nil {
			return *v, s.compatible(req, v)
		}
	}
	return Volume{}, fmt.Errorf("%w with another call; try again", errdefs.ErrBusy) // deleted meanwhile, or its disk is away
}

// String says how far it is, for messages.
func (p *Progress) String() string {
	if p == nil || p.Bytes == 0 {
		return ""
	}
	text := fmt.Sprintf(": %s in %d files", config.FormatSize(p.Bytes), p.Files)
	if p.TotalBytes > 0 {
		text += fmt.Sprintf(", of some %s", config.FormatSize(p.TotalBytes))
	}
	return text
}

// diskOfSource returns the disk that has a snapshot or volume. The error is ErrNoSpace if
// that is another node's: there the volume can be made.
func (s *Store) diskOfSource(source string) (*diskState, error) {
	id, err := ParseVolumeID(source)
	if err != nil {
		snapshotID, failed := ParseSnapshotID(source)
		if failed != nil {
			return nil, fmt.Errorf("%w: %q is the ID of no snapshot and no volume", errdefs.ErrNotFound, source)
		}
		id = VolumeID(snapshotID)
	}
	d, err := s.diskOf(id)
	if errors.Is(err, errdefs.ErrWrongNode) {
		return nil, fmt.Errorf("%w: it begins as a copy of %s, which is on another node, and can be made only there: %w", errdefs.ErrNoSpace, source, err)
	}
	return d, err
}

// takesCopy returns why a disk takes no copy of what it holds.
func (d *diskState) takesCopy(req CreateRequest) error {
	if pool := d.poolNow().Name; pool != req.Class.Pool {
		return fmt.Errorf("%w: %s is on the disk %s of pool %q, and the class makes volumes in pool %q: use a class of pool %q", errdefs.ErrInvalid, req.Source, d.path, pool, req.Class.Pool, pool)
	}
	if err := CheckFilesystem(req.Filesystem, d.filesystem); err != nil {
		return err
	}
	err := d.refuses(req.Class)
	if err == nil {
		err = d.cordoned()
	}
	if err != nil {
		return fmt.Errorf("%w: only the disk %s has %s: %w", errdefs.ErrNoSpace, d.path, req.Source, err)
	}
	return nil
}

// restore is a volume that is being made of a snapshot, or of another volume: aside,
// synced, renamed, as one that begins empty.
type restore struct {
	store   *Store
	disk    *diskState
	name    string // of its directory
	request CreateRequest

	source  *original
	earlier *cutShort
	room    *allocation
	record  Record
	held    Usage
}

func (b *restore) run(ctx context.Context, j *longJob) error {
	made, err := b.store.existing(ctx, b.name)
	if made != nil || err != nil {
		return err
	}
	if b.disk, err = b.store.diskOfSource(b.request.Source); err != nil {
		return err
	}
	if err := b.disk.takesCopy(b.request); err != nil {
		return err
	}
	if b.source, err = b.disk.holdOriginal(ctx, b.request.Source); err != nil {
		return err
	}
	defer b.source.close()
	capacity, err := b.capacity()
	if err != nil {
		return err
	}
	b.record = b.request.record(b.store.node, capacity)
	b.record.ID, b.record.Source = b.disk.volumeID(b.name).String(), b.request.Source
	if err := b.goOn(ctx, j); err != nil {
		return err
	}
	if b.room, err = b.store.hold(b.disk, capacity, b.earlier.held()); err != nil {
		return fmt.Errorf("%w: only the disk %s has %s: %w", errdefs.ErrNoSpace, b.disk.path, b.request.Source, err)
	}
	defer b.room.end()
	finish, err := b.disk.beginBuild(b.name)
	if err != nil {
		return err
	}
	defer finish()
	b.disk.resume(b.name)
	volumes, err := b.source.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	if b.earlier == nil {
		err = b.source.clearAway(ctx, volumes, b.building())
	}
	if err == nil {
		err = b.build(ctx, j, volumes)
	}
	if isQuotaOff(err) { // since a moment ago: the next try knows
		b.source.detectLimits(ctx)
		err = fmt.Errorf("%w: %w", errdefs.ErrBusy, err)
	}
	if err != nil && !b.store.ending() {
		if _, undo := moveToTrash(b.source.root, volumes, b.building()); undo != nil && !errors.Is(undo, fs.ErrNotExist) {
			err = fmt.Errorf("%w; what was begun could not be removed: %w", err, undo)
		}
		b.disk.wakePurge()
	}
	return noSpace(err)
}

func (b *restore) building() string { return newPrefix + b.name }

// goOn looks for an earlier copy for the same request that can be gone on with. Its record
// is the volume's then.
func (b *restore) goOn(ctx context.Context, j *longJob) error {
	path := disk.VolumesDir + "/" + b.building()
	earlier, err := b.source.cutShort(ctx, j, path)
	if earlier == nil || err != nil {
		return err
	}
	volume, err := b.source.root.Sub(path)
	if err != nil {
		return err
	}
	defer volume.Close()
	r, err := readRecord(volume, b.disk.volumeID(b.name))
	if err = unreadable(err); errors.Is(err, errdefs.ErrUnavailable) {
		return err
	}
	limits, _ := b.disk.limiter()
	limited := limits != nil && b.request.Class.Quota != config.QuotaOff
	if err != nil || (r.Quota != nil) != limited || limited && r.Quota.Kind != limits.Kind() {
		return nil
	}
	same := r
	same.Created, same.Quota, same.Subvolume = b.record.Created, nil, 0
	was, err := same.encode()
	if err != nil {
		return err
	}
	if is, err := b.record.encode(); err != nil || !bytes.Equal(is, was) {
		return err
	}
	b.earlier, b.record = earlier, r
	return nil
}

// capacity is what is asked for, at least what the original has.
func (b *restore) capacity() (int64, error) {
	asked, limit := b.request.RequiredBytes, b.request.LimitBytes
	if asked == 0 && (limit == 0 || limit > b.source.capacity) {
		asked = b.source.capacity
	}
	asked = max(asked, MinCapacity)
	if asked < b.source.capacity {
		return 0, fmt.Errorf("%w: %s has %s, and what begins as a copy of it must have that too: ask for at least %s", errdefs.ErrOutOfRange,
			b.request.Source, config.FormatSize(b.source.capacity), config.FormatSize(b.source.capacity))
	}
	limits, _ := b.disk.limiter()
	if limits != nil && b.request.Class.Quota != config.QuotaOff && asked < b.source.held.Bytes {
		return 0, fmt.Errorf("%w: %s holds %s, more than its capacity, and here a capacity is enforced: ask for more", errdefs.ErrOutOfRange,
			b.request.Source, config.FormatSize(b.source.held.Bytes))
	}
	return asked, nil
}

func (b *restore) build(ctx context.Context, j *longJob, volumes *dir.Dir) error {
	volume, err := volumes.MakeSub(b.building())
	if err != nil {
		return err
	}
	defer volume.Close()
	done, err := b.fill(ctx, j, volume)
	if err != nil {
		return err
	}
	defer done()
	if err := volume.Sync(); err != nil {
		return err
	}
	return b.commit(ctx)
}

// fill makes the data, limited, and the record, by the best way that there is.
func (b *restore) fill(ctx context.Context, j *longJob, volume *dir.Dir) (done func(), err error) {
	done = func() {}
	if b.earlier != nil {
		return done, b.copy(ctx, j, volume)
	}
	id, err := b.source.snapshotData(volume, false)
	switch {
	case err == nil:
		if err = b.ownSubvolume(id); err == nil {
			err = writeRecord(volume, recordFile, b.record)
		}
		if err == nil {
			err = b.limit(volume)
		}
		b.held = b.source.held
		b.held.At = time.Now()
		return done, err
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	b.record, done, err = b.source.makeData(b.store.projects, volume, b.record)
	if err != nil {
		return nil, err
	}
	if err = b.copy(ctx, j, volume); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// ownSubvolume notes how the data is known that is a subvolume already.
func (b *restore) ownSubvolume(id quota.ID) error {
	b.record.Origin = b.source.origin
	limits, _ := b.disk.limiter()
	if quota.KindOf(limits) != quota.Btrfs || b.request.Class.Quota == config.QuotaOff {
		b.record.Subvolume = id
		return nil
	}
	b.record.Quota = &Quota{Kind: quota.Btrfs, ID: id}
	return b.source.setInodes(b.record.Quota, b.record)
}

// limit puts the limit in place, if there is to be one.
func (b *restore) limit(volume *dir.Dir) error {
	if b.record.Quota == nil {
		return nil
	}
	data, err := volume.Sub(dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	return b.source.setLimit(data, b.record)
}

// copy copies the files into a directory that is limited already. The record says so
// before that, for a crash.
func (b *restore) copy(ctx context.Context, j *longJob, volume *dir.Dir) error {
	if q := b.record.Quota; q != nil && q.Inodes > 0 {
		if _, ok := b.record.Class.InodeLimit(); !ok {
			q.Inodes = max(q.Inodes, 2*b.source.held.Inodes)
		}
	}
	if err := replaceRecord(volume, b.record); err != nil { // there may be one, to go on with
		return err
	}
	if err := b.limit(volume); err != nil {
		return err
	}
	data, err := volume.Sub(dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	shared, held, err := b.source.copyTo(ctx, data, j, b.room, b.source.goingOn(b.earlier, b.record.Created, volume))
	if b.source.reachedLimit(data, b.record.Quota, err) {
		return fmt.Errorf("%w: %s holds more than fits into %s, and here a capacity is enforced: ask for more (%v)", errdefs.ErrOutOfRange,
			b.request.Source, config.FormatSize(b.record.CapacityBytes), err)
	}
	if err != nil {
		return err
	}
	b.held = held
	b.held.At = time.Now()
	if err := removeCopyNote(volume); err != nil {
		return err
	}
	if shared {
		b.record.Origin = b.source.origin
		return replaceRecord(volume, b.record)
	}
	return nil
}

// reachedLimit reports whether an error says that a volume has reached its own limit, while
// its disk may have room. XFS has one error for both.
func (o openDisk) reachedLimit(data *dir.Dir, q *Quota, err error) bool {
	if q == nil || q.Kind != quota.XFS || !errors.Is(err, unix.ENOSPC) {
		return q != nil && errors.Is(err, unix.EDQUOT)
	}
	limits, _ := o.limiter()
	if limits == nil {
		return false
	}
	const nearly = 1 << 20 // what is written at a time
	limit, used, err := limits.Get(data.File, q.ID)
	return err == nil && (used.Bytes > limit.Bytes-nearly || limit.Inodes > 0 && used.Inodes >= limit.Inodes)
}

// commit makes a volume of it, if the disk is still the one in use.
func (b *restore) commit(ctx context.Context) error {
	return b.disk.seeThrough(ctx, "making volume "+b.name, func(o openDisk) error {
		if cordoned := o.cordoned(); cordoned != nil { // a moment ago
			return fmt.Errorf("%w: disk %s: %w", errdefs.ErrNoSpace, b.disk.path, cordoned)
		}
		volumes, err := o.root.Sub(disk.VolumesDir)
		if err != nil {
			return err
		}
		defer volumes.Close()
		if err := commit(volumes, b.building(), b.name); err != nil {
			return err
		}
		o.admit(ctx, &Volume{Record: b.record, Dir: b.name, Path: o.dataPath(b.name), Usage: b.held})
		klog.FromContext(ctx).Info("volume copied", "volumeID", b.record.ID, "source", b.record.Source, "claim", b.record.Claim.String(), "shared", b.record.Origin != "")
		return nil
	})
}
