package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/tree"
)

// SnapshotRequest asks for a snapshot.
type SnapshotRequest struct {
	// Name identifies the request: the same name again is the same snapshot.
	Name string
	// Source is the ID of the volume.
	Source string
	Class  config.SnapshotClass
	// VolumeSnapshot and Content may be empty.
	VolumeSnapshot Claim
	Content        string
	// Group is the group that it belongs to, "" for none.
	Group string
}

// snapshotLock is what a snapshot is locked by: no volume's name has a slash.
func snapshotLock(name string) string { return disk.SnapshotsDir + "/" + name }

// CreateSnapshot makes a snapshot of a volume, beside the volume on its disk, or returns
// the one that the same request has made before. Where files are copied it returns after
// some seconds one that is not ready: the same request asks how it comes along, and finds
// an error that has ended it. writers returns ErrInUse while a pod can write to the data.
//
// It returns ErrConflict if the name belongs to a snapshot of another volume, ErrInvalid
// if the filesystem cannot make what the class asks for, ErrInUse if the class wants that
// nobody writes and somebody can.
func (s *Store) CreateSnapshot(ctx context.Context, req SnapshotRequest, writers func(data *os.File) error) (Snapshot, error) {
	fail := func(err error) (Snapshot, error) {
		return Snapshot{}, fmt.Errorf("snapshot %s of volume %s: %w", req.Name, req.Source, err)
	}
	name, err := directoryName(req.Name)
	if err != nil {
		return fail(err)
	}
	id, err := ParseVolumeID(req.Source)
	if err != nil {
		return fail(err)
	}
	if req.VolumeSnapshot != (Claim{}) && !req.VolumeSnapshot.isPlain() {
		return fail(fmt.Errorf("%w: %q in namespace %q is not the name of a VolumeSnapshot", errdefs.ErrInvalid, req.VolumeSnapshot.Name, req.VolumeSnapshot.Namespace))
	}
	for _, other := range s.Snapshots() {
		if other.Dir == name && other.Quarantine == nil && other.SourceVolume != req.Source {
			return fail(fmt.Errorf("%w: %s is a snapshot of volume %s", errdefs.ErrConflict, other.ID, other.SourceVolume))
		}
	}
	d, err := s.diskOf(id)
	if err != nil {
		return fail(err)
	}
	b := &snapshotBuild{store: s, disk: d, name: name, volume: id.Name, request: req, writers: writers}
	done, err := s.carryOut(ctx, snapshotLock(name), "snapshot of "+req.Source, d.silent, b.run)
	if err != nil {
		return fail(err)
	}
	if plan := s.snapshotUnderWay(d, name); !done && plan != nil {
		plan.SourceVolume = req.Source // which is known before the record is
		return *plan, nil
	}
	made := d.snapshot(name)
	if made == nil { // deleted meanwhile
		return fail(fmt.Errorf("%w with another call; try again", errdefs.ErrBusy))
	}
	return *made, nil
}

// snapshotUnderWay returns what is known of a snapshot that is being made, nil if none is.
func (s *Store) snapshotUnderWay(d *diskState, name string) *Snapshot {
	j := s.jobs.find(snapshotLock(name))
	if j == nil || j.ended() {
		return nil
	}
	plan := d.snapshotAs(name, SnapshotRecord{ID: d.snapshotID(name).String(), Node: s.node, Created: j.began.UTC()})
	if b := j.snapshot.Load(); b != nil {
		plan.SnapshotRecord = *b
	}
	plan.Ready, plan.Progress = false, j.progress()
	return plan
}

// snapshotBuild is a snapshot that is being made: aside, synced, renamed.
type snapshotBuild struct {
	store   *Store
	disk    *diskState
	name    string // of its directory
	volume  string // and of its volume's
	request SnapshotRequest
	writers func(*os.File) error

	source  *original
	earlier *cutShort
	room    *allocation
	aside   *dir.Dir
	record  SnapshotRecord
}

func (b *snapshotBuild) run(ctx context.Context, j *longJob) error {
	if made, err := b.existing(ctx); made || err != nil {
		return err
	}
	var err error
	if b.source, err = b.disk.holdOriginal(ctx, b.request.Source); err != nil {
		return err
	}
	defer b.source.close()
	b.record = SnapshotRecord{
		Version: snapshotVersion, ID: b.disk.snapshotID(b.name).String(), Name: b.request.Name, SourceVolume: b.request.Source,
		Claim: b.source.claim, VolumeSnapshot: b.request.VolumeSnapshot, Content: b.request.Content, Group: b.request.Group, Node: b.store.node,
		CapacityBytes: b.source.capacity, Created: j.began.UTC(),
	}
	if b.request.Class.Consistency == config.ConsistencyAny { // nobody knows who wrote meanwhile
		if b.earlier, err = b.source.cutShort(ctx, j, disk.SnapshotsDir+"/"+b.building()); err != nil {
			return err
		}
	}
	if b.earlier != nil {
		b.record.Created = b.earlier.began
	}
	plan := b.record
	j.snapshot.Store(&plan)
	room := b.source.held.Bytes
	if b.source.held.At.IsZero() {
		room = b.source.capacity
	}
	if b.room, err = b.store.hold(b.disk, room, b.earlier.held()); err != nil {
		return fmt.Errorf("%w: a snapshot takes the room of what the volume holds, for that may all be written anew: %w", errdefs.ErrNoSpace, err)
	}
	defer b.room.end()
	b.disk.resume(snapshotLock(b.name))
	err = b.build(ctx, j)
	if err != nil && !b.store.ending() {
		err = errors.Join(err, b.clear())
	}
	return noSpace(err)
}

// existing looks for a snapshot that was made before.
func (b *snapshotBuild) existing(ctx context.Context) (made bool, err error) {
	return run(ctx, b.disk, change, "a look at snapshot "+b.name, func() (bool, error) {
		x, err := b.disk.findSnapshot(b.disk.snapshotID(b.name))
		if errors.Is(err, errdefs.ErrNotFound) {
			b.disk.setSnapshot(b.name, nil)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer x.close()
		if x.record.SourceVolume != b.request.Source {
			return false, fmt.Errorf("%w: it is a snapshot of volume %s", errdefs.ErrConflict, x.record.SourceVolume)
		}
		b.disk.setSnapshot(b.name, b.disk.snapshotAs(b.name, x.record))
		// A crash may have kept it from being synced.
		return true, unreadable(x.root.SyncSub(disk.SnapshotsDir))
	})
}

func (b *snapshotBuild) build(ctx context.Context, j *longJob) error {
	publishes, busy := b.disk.publishesOf(b.volume), b.writers(b.source.data.File)
	if b.request.Class.Consistency == config.ConsistencyIdle && busy != nil {
		return fmt.Errorf("its class wants consistency=idle, so that no pod writes meanwhile, and the volume %w", busy)
	}
	if busy != nil && !errors.Is(busy, errdefs.ErrInUse) {
		return busy
	}
	var err error
	if b.aside, err = b.layOut(ctx); err != nil {
		return err
	}
	defer b.aside.Close()
	if err := b.fill(ctx, j); err != nil {
		return err
	}
	idle := busy == nil && b.earlier == nil && b.disk.publishesOf(b.volume) == publishes
	switch {
	case b.request.Class.Consistency == config.ConsistencyIdle && !idle:
		return fmt.Errorf("its class wants consistency=idle, and the volume was %w by a pod meanwhile: it is tried again", errdefs.ErrInUse)
	case b.record.Method == SnapshotSubvolume:
		b.record.Consistency = config.ConsistencyAtomic
	case idle:
		b.record.Consistency = config.ConsistencyIdle
	default:
		b.record.Consistency = config.ConsistencyAny
	}
	if b.record.Method != SnapshotSubvolume {
		if err := removeCopyNote(b.aside); err != nil {
			return err
		}
	}
	if err := errors.Join(b.record.write(b.aside), b.aside.Sync()); err != nil {
		return err
	}
	return b.commit(ctx)
}

// layOut opens the directory aside, a new one unless there is one to go on with.
func (b *snapshotBuild) layOut(ctx context.Context) (*dir.Dir, error) {
	snapshots, err := b.source.root.MakeSub(disk.SnapshotsDir)
	if err != nil {
		return nil, err
	}
	defer snapshots.Close()
	if err := b.source.root.Sync(); err != nil {
		return nil, err
	}
	if b.earlier != nil {
		return snapshots.Sub(b.building())
	}
	if _, err := moveToTrash(b.source.root, snapshots, b.building()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return snapshots.MakeSub(b.building())
}

func (b *snapshotBuild) building() string { return newPrefix + b.name }

// clear leaves what was begun to the purge.
func (b *snapshotBuild) clear() error {
	snapshots, err := b.source.root.Sub(disk.SnapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer snapshots.Close()
	_, err = moveToTrash(b.source.root, snapshots, b.building())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b.disk.wakePurge()
	return err
}

// fill makes the data, by the best way that there is.
func (b *snapshotBuild) fill(ctx context.Context, j *longJob) error {
	if b.earlier != nil {
		return b.copy(ctx, j)
	}
	id, err := b.source.snapshotData(b.aside, true)
	if err == nil {
		held, err := b.countSubvolume(ctx, j, id)
		b.record.Method, b.record.Bytes, b.record.Files = SnapshotSubvolume, held.Bytes, held.Inodes
		b.record.Subvolume, b.record.Origin = id, b.source.origin
		return err
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if b.request.Class.Consistency == config.ConsistencyAtomic {
		return fmt.Errorf("%w: its class wants consistency=atomic, which only btrfs can give: %w", errdefs.ErrInvalid, err)
	}
	if err := b.aside.Mkdir(dataDir); err != nil {
		return err
	}
	return b.copy(ctx, j)
}

func (b *snapshotBuild) copy(ctx context.Context, j *longJob) error {
	data, err := b.aside.Sub(dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	how := b.source.goingOn(b.earlier, b.record.Created, b.aside)
	how.ShareOnly = b.request.Class.Copy == config.CopyNever
	shared, held, err := b.source.copyTo(ctx, data, j, b.room, how)
	if errors.Is(err, tree.ErrCannotShare) {
		return fmt.Errorf("%w: its class forbids copies (copy=never): %w", errdefs.ErrInvalid, err)
	}
	if err != nil {
		return err
	}
	b.record.Method, b.record.Bytes, b.record.Files = SnapshotCopy, held.Bytes, held.Inodes
	if shared {
		b.record.Method, b.record.Origin = SnapshotReflink, b.source.origin
	}
	return nil
}

// countSubvolume returns what a new subvolume holds, from a quota if there is one, or else
// by a walk.
func (b *snapshotBuild) countSubvolume(ctx context.Context, j *longJob, id quota.ID) (Usage, error) {
	data, err := b.aside.Sub(dataDir)
	if err != nil {
		return Usage{}, err
	}
	defer data.Close()
	if limits, _ := b.disk.limiter(); quota.KindOf(limits) == quota.Btrfs {
		if _, used, err := limits.Get(data.File, id); err == nil {
			return Usage{Bytes: used.Bytes}, nil
		}
	}
	size, err := tree.Measure(ctx, data, j.begin(Measuring, tree.Size{}, b.disk.retiredErr), nil)
	return Usage{Bytes: size.Bytes, Inodes: size.Files}, err
}

// commit gives the snapshot its name, if the disk is still the one in use.
func (b *snapshotBuild) commit(ctx context.Context) error {
	return b.disk.seeThrough(ctx, "making snapshot "+b.name, func(o openDisk) error {
		snapshots, err := o.root.Sub(disk.SnapshotsDir)
		if err != nil {
			return err
		}
		defer snapshots.Close()
		if err := commit(snapshots, b.building(), b.name); err != nil {
			return err
		}
		made := o.snapshotAs(b.name, b.record)
		o.setSnapshot(b.name, made)
		_, _ = o.measure()
		klog.FromContext(ctx).Info("snapshot created", "snapshotID", b.record.ID, "claim", b.record.Claim.String(), "method", b.record.Method,
			"consistency", b.record.Consistency, "bytes", b.record.Bytes, "took", time.Since(b.record.Created).Round(time.Millisecond).String(), "path", made.Path)
		return nil
	})
}
