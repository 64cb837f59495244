package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/quota"
)

// takeUp takes the disk at a path into use, if that was approved and is not done.
func (s *Store) takeUp(ctx context.Context, x *slot) {
	x.looking.Lock()
	defer x.looking.Unlock()
	s.mu.RLock()
	probe, approved := x.probe, x.approved && x.disk == nil
	s.mu.RUnlock()
	if !approved || ctx.Err() != nil {
		return
	}
	emptied := probe.Marker == nil
	d, err := s.prepare(ctx, x, &probe)
	if err == nil {
		err = s.putToUse(ctx, x, d, probe, emptied)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.names = nil
	if err == nil || !x.approved { // in use, or refused meanwhile
		x.failed = nil
		return
	}
	if x.failed == nil || x.failed.Error() != err.Error() {
		klog.FromContext(ctx).Error(err, "disk cannot be used", "path", x.path, "pool", x.pool.Name, "reason", disk.ReasonOf(err))
	}
	x.approved, x.failed, x.err = false, err, err
}

// prepare makes all ready to use the disk that was found at a path. An empty
// directory is made a disk; then it is read. Calls at work on it, from before it
// was away, have ended first: half-built volumes are cleared away.
func (s *Store) prepare(ctx context.Context, x *slot, probe *disk.Probe) (*diskState, error) {
	root, err := disk.Open(x.path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	now, err := root.Inode()
	if err != nil {
		return nil, err
	}
	if now != probe.Inode {
		return nil, disk.Refuse(disk.Exchanged, "something else was mounted there a moment ago: hostdir looks again soon")
	}
	if probe.Marker == nil {
		s.intend(ctx, x.next)
		m, err := disk.Initialise(root, x.next, time.Now())
		if err != nil {
			return nil, err
		}
		probe.Marker = &m
	}
	id := probe.Identity()
	if err := id.Check(root, new(disk.MarkerCache)); err != nil {
		return nil, err
	}
	if err := s.freeOfCalls(id.UUID); err != nil {
		return nil, err
	}
	if probe.Sign, err = s.own(ctx, x, root, probe.Sign); err != nil {
		return nil, err
	}
	storage, err := root.StorageID()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	pool := x.pool
	s.mu.RUnlock()
	o := openDisk{s.newDiskState(x.path, id, storage, pool), root}
	o.filesystem, o.cordonedSince = probe.Filesystem.Type, probe.Marker.Cordoned
	if err := o.checkRename(); err != nil {
		return nil, err
	}
	o.detectLimits(ctx)
	if err := s.scan(ctx, o, x); err != nil {
		return nil, err
	}
	if err := o.readTrash(); dir.IsPassing(err) {
		return nil, err // any other error is the purge's to report
	}
	if err := s.firstCount(ctx, o); err != nil {
		return nil, err
	}
	return o.diskState, nil
}

// freeOfCalls returns an error while calls are at work on a disk that is not in use
// any more, or if it is in use elsewhere.
func (s *Store) freeOfCalls(uuid string) error {
	s.mu.RLock()
	before := s.disks[uuid]
	s.mu.RUnlock()
	switch {
	case before == nil:
		return nil
	case before.retiredErr() == nil:
		return disk.Refuse(disk.Copied, "disk %s is in use at %s", uuid, before.path)
	case !before.calls.idle():
		return disk.Refuse(disk.Pending, "calls that were at work before it was away have not returned yet: hostdir looks again soon")
	}
	return nil
}

// intend writes down a disk that is about to be made.
func (s *Store) intend(ctx context.Context, uuid string) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	s.history.Intend(uuid)
	s.saveHistory(ctx)
}

// checkRename returns an error where a rename could replace a volume.
func (o openDisk) checkRename() error {
	volumes, err := o.root.Sub(disk.VolumesDir)
	if err != nil {
		return err
	}
	defer volumes.Close()
	return volumes.CheckRename(newPrefix+"rename-probe", newPrefix+"rename-probed")
}

// firstCount finds out what the disk's volumes and others hold before anybody asks
// for room. Where no quota knows, it is what was remembered. Limits that a power cut
// has undone, or somebody, are put back before anybody uses the volumes.
func (s *Store) firstCount(ctx context.Context, o openDisk) error {
	if _, err := o.measure(); err != nil {
		return err
	}
	var held span
	o.see(&held)
	if bytes, known := s.remembered(o.id.UUID); known {
		o.foreign = foreign{bytes: bytes, known: true}
	}
	for _, v := range o.list() {
		if v.Quarantine != nil || !o.enforces(v) {
			continue
		}
		log := klog.FromContext(ctx).WithValues("volumeID", v.ID, "claim", v.Claim.String())
		err := o.countVolume(v.Dir, v.Record)
		if errors.Is(err, errLimit) {
			if err = o.setLimitOf(v.Dir, v.Record); err == nil {
				log.Info("the volume's limit was not in force and is again")
			}
		}
		if err != nil { // the first round says so
			log.V(4).Info("volume not counted at the start", "reason", err.Error())
		}
		o.see(&held)
	}
	if !o.hasAdvisory() {
		o.takeStock(held)
	}
	return nil
}

func (s *Store) remembered(uuid string) (bytes int64, known bool) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	return s.history.Foreign(uuid)
}

// putToUse makes a disk that is ready the one in use at a path.
func (s *Store) putToUse(ctx context.Context, x *slot, d *diskState, probe disk.Probe, emptied bool) error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	log := klog.FromContext(ctx).WithValues("path", x.path, "pool", d.pool.Name, "uuid", d.id.UUID)
	s.mu.Lock()
	if !x.approved || s.slotAt(x.path) != x {
		s.mu.Unlock()
		return errors.New("it was refused meanwhile")
	}
	if other := s.disks[d.id.UUID]; other != nil && other.retiredErr() == nil {
		s.mu.Unlock()
		return disk.Refuse(disk.Copied, "disk %s is in use at %s", d.id.UUID, other.path)
	}
	d.pool = x.pool
	x.probe, x.disk, x.err, x.failed, x.last = probe, d, nil, nil, d.id.UUID
	x.names = nil // who asks for one of its volumes finds it
	x.watch.Saw(probe.Sign, time.Now())
	if emptied {
		x.next = uuid.NewString()
	}
	was, meant := s.history.At(x.path), x.pool.InitEmpty
	givenUp, elsewhere := s.formerDisk(was)
	s.disks[d.id.UUID] = d
	s.serve(d)
	s.mu.Unlock()

	switch {
	case was.Disk == "" || was.Disk == d.id.UUID:
	case emptied && meant:
		log.Info("a new disk was made of the empty filesystem that is mounted here: initEmpty of the pool says that it is meant",
			"was", was.String(), "foundAt", elsewhere, "volumesGivenUp", givenUp)
	case emptied:
		log.Error(nil, "a disk was here, and the directory is empty: a new one was made of it", "was", was.String())
	default:
		log.Info("another disk is here now", "was", was.String())
	}
	s.history.Used(probe)
	s.history.Holds(x.path, d.id.UUID, len(d.list()))
	s.saveHistory(ctx)
	limits, why := d.limiter()
	log.Info("disk ready", "volumes", len(d.list()), "quota", quota.KindOf(limits))
	if quota.KindOf(limits) == quota.None {
		log.Info("capacity is advisory on this disk", "reason", why.Error())
	}
	d.logOtherNodes(log)
	for _, v := range d.list() {
		s.projects.markUsed(v.Quota)
	}
	return nil
}

// slotAt returns the slot of a path, nil if there is none. The caller holds s.mu.
func (s *Store) slotAt(path string) *slot {
	for _, x := range s.slots {
		if x.path == path {
			return x
		}
	}
	return nil
}

// diskOf returns the disk that a volume's ID names. One that was moved to another
// path of the configuration is found there.
func (s *Store) diskOf(id VolumeID) (*diskState, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.disks[id.Disk]; d != nil && d.retiredErr() == nil {
		return d, nil
	}
	var unused error
	for _, x := range s.slots {
		switch {
		case x.disk != nil:
		case x.last == id.Disk:
			return nil, unavailable(x.path, x.err)
		default:
			unused = unavailable(x.path, x.err)
		}
	}
	if unused != nil {
		return nil, fmt.Errorf("disk %s was not found on node %s; it may be the unusable one: %w", id.Disk, s.node, unused)
	}
	return nil, fmt.Errorf("%w: no path of node %s holds disk %s", errdefs.ErrWrongNode, s.node, id.Disk)
}
