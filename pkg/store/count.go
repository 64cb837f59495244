package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/quota"
)

// count asks the quotas of a disk what each volume holds, puts back limits that
// somebody changed, and takes stock of what others hold.
func (s *Store) count(ctx context.Context, d *diskState) {
	log := klog.FromContext(ctx)
	var held span
	if err := d.see(&held); err != nil {
		return // the next look says why
	}
	d.followQuotas(ctx)
	for _, v := range d.list() {
		if ctx.Err() != nil {
			return
		}
		switch err := s.countOne(d, v, &held); {
		case errors.Is(err, errLimit):
			if err := s.restoreLimit(d, v.Dir); err != nil {
				log.Error(err, "the volume's limit is not in force", "volumeID", v.ID, "claim", v.Claim.String())
			} else {
				log.Info("the volume's limit was not in force and is again", "volumeID", v.ID, "claim", v.Claim.String())
			}
		case err != nil && ctx.Err() == nil:
			d.logUncountable(ctx, v, err)
		}
	}
	if !d.hasAdvisory() && d.see(&held) == nil {
		d.takeStock(held)
	}
}

// countOne counts a volume whose capacity a quota enforces. It looks again at one
// in quarantine, whose record may have been unreadable for a moment.
func (s *Store) countOne(d *diskState, v *Volume, held *span) error {
	if v.Quarantine == nil && !d.enforces(v) {
		return nil // the walk counts it
	}
	end := d.calls.begin("counting volume "+v.ID, callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return nil // the next look says why
	}
	defer o.close()
	if v.Quarantine != nil {
		s.readAgain(o, v.Dir)
		return nil
	}
	defer o.see(held)
	return o.countVolume(v.Dir, v.Record)
}

// readAgain takes a volume out of quarantine whose record has become readable.
func (s *Store) readAgain(o openDisk, name string) {
	unlock, err := s.locks.lock(name)
	if err != nil {
		return
	}
	defer unlock()
	volume, err := o.root.Sub(disk.VolumesDir + "/" + name)
	if err != nil {
		return
	}
	defer volume.Close()
	r, err := readRecord(volume, o.volumeID(name))
	if err != nil {
		return
	}
	if v := o.volume(name); v != nil && v.Quarantine != nil {
		o.setVolume(name, &Volume{Record: r, Dir: name, Path: v.Path})
		s.projects.markUsed(r.Quota)
	}
}

// errLimit is returned for a volume whose limit is not the one it should have.
var errLimit = errors.New("the limit is not in force")

func (o openDisk) countVolume(name string, r Record) error {
	data, err := o.root.Sub(disk.VolumesDir + "/" + name + "/" + dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	limits, why := o.limiter()
	if quota.KindOf(limits) != r.Quota.Kind {
		return why
	}
	limit, usage, err := limits.Get(data.File, r.Quota.ID)
	if err != nil {
		if stub, _ := data.IsSubvolumeStub(); stub {
			err = fmt.Errorf("%w: %w", errSubvolumeLeftBehind, err)
		}
		return err
	}
	o.setUsage(name, Usage{Bytes: usage.Bytes, Inodes: usage.Inodes, At: time.Now()})
	want, err := o.limitFor(r)
	if err == nil && !holds(limit, want, r) {
		err = errLimit
	}
	return err
}

// setUsage records what a volume holds, if it is still there.
func (d *diskState) setUsage(name string, u Usage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.volumes.byName[name]; v != nil {
		counted := *v
		counted.Usage, counted.Uncountable = u, ""
		d.volumes.set(name, &counted)
	}
}

// logUncountable says why a volume could not be counted, unless it was deleted
// meanwhile. A volume may stay so for long, and many with it: it is said once.
func (d *diskState) logUncountable(ctx context.Context, v *Volume, err error) {
	if errors.Is(err, fs.ErrNotExist) || !d.noteUncountable(v.Dir, err.Error()) {
		return
	}
	klog.FromContext(ctx).Error(err, "what the volume holds is not known", "volumeID", v.ID, "claim", v.Claim.String())
}

// noteUncountable returns whether that is new.
func (d *diskState) noteUncountable(name, why string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.volumes.byName[name]
	if v == nil || v.Uncountable == why {
		return false
	}
	noted := *v
	noted.Uncountable = why
	d.volumes.set(name, &noted)
	return true
}

// restoreLimit looks again with the volume locked, and sets its limit.
func (s *Store) restoreLimit(d *diskState, name string) error {
	unlock, err := s.locks.lock(name)
	if err != nil {
		return nil // a call that changes the volume sets its limit itself
	}
	defer unlock()
	v := d.volume(name)
	if v == nil {
		return nil
	}
	end := d.calls.begin("restoring the limit of volume "+v.ID, callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return err
	}
	defer o.close()
	return o.setLimitOf(name, v.Record)
}

// setLimitOf is setLimit of a volume whose data is not open.
func (o openDisk) setLimitOf(name string, r Record) error {
	data, err := o.root.Sub(disk.VolumesDir + "/" + name + "/" + dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	return o.setLimit(data, r)
}

// span is the least and the most that a filesystem held while volumes were
// counted.
type span struct{ least, most int64 }

func (s span) plus(other span) span { return span{s.least + other.least, s.most + other.most} }

func (s *span) add(held int64) {
	if *s == (span{}) {
		s.least = held
	}
	s.least, s.most = min(s.least, held), max(s.most, held)
}

// see adds what a disk's filesystem holds at this moment.
func (d *diskState) see(s *span) error {
	if err := d.sample(); err != nil {
		return err
	}
	f := d.figures()
	s.add(f.size - f.free)
	return nil
}

// see is that of an open disk, which another look may fail.
func (o openDisk) see(s *span) {
	if _, err := o.measure(); err == nil {
		f := o.figures()
		s.add(f.size - f.free)
	}
}

// hasAdvisory reports whether the disk has volumes that only a walk counts.
func (d *diskState) hasAdvisory() bool {
	for _, v := range d.list() {
		if v.Quarantine == nil && !d.enforces(v) {
			return true
		}
	}
	return false
}

// enforces reports whether a quota holds a volume to its capacity now.
func (d *diskState) enforces(v *Volume) bool {
	limits, _ := d.limiter()
	return v.Quota != nil && v.Quota.Kind == quota.KindOf(limits)
}

// takeStock notes what others hold on a disk's filesystem, now that all volumes
// were counted: what it held meanwhile besides them and snapshots. Volumes are written to while
// they are counted, one after the other, so that is known within bounds only. The
// figure from before stands if it is within them.
func (d *diskState) takeStock(held span) {
	ours := d.heldByOurs()
	for _, other := range d.peers() {
		ours = ours.plus(other.heldByOurs())
	}
	least, most := max(0, held.least-ours.most), max(0, held.most-ours.least)
	known := d.figures().foreign
	if !known.known {
		known.bytes = least
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.volumes.uncounted > 0 {
		return
	}
	d.foreign = foreign{bytes: min(max(known.bytes, least), most), known: true, at: time.Now()}
	for _, t := range d.trash.byID {
		t.uncounted = t.clearing // whether its room is back already, nobody knows
	}
}

// heldByOurs returns what volumes and snapshots hold, or can hold at most as long as
// they have not been counted. What shares blocks is counted by a filesystem as if it had
// all for itself: together it holds no more than that, and no less than the largest.
func (d *diskState) heldByOurs() span {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := d.volumes.used
	if d.volumes.uncounted > 0 {
		most = d.volumes.allocated
	}
	most += d.snapshots.bytes
	largest, shared := map[string]int64{}, int64(0)
	share := func(origin string, bytes int64) {
		if origin != "" {
			shared += min(bytes, largest[origin])
			largest[origin] = max(bytes, largest[origin])
		}
	}
	for _, s := range d.snapshots.byName {
		share(s.Origin, s.Bytes)
	}
	for _, v := range d.volumes.byName {
		share(v.Origin, v.Usage.Bytes)
	}
	for origin := range largest {
		if id, err := ParseVolumeID(origin); err == nil {
			if v := d.volumes.byName[id.Name]; v != nil && v.ID == origin {
				share(origin, v.Usage.Bytes)
			}
		}
	}
	return span{most - shared, most}
}

// followQuotas notices that somebody has switched quotas on or off.
func (d *diskState) followQuotas(ctx context.Context) {
	end := d.calls.begin("a look at its quotas", callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		return
	}
	defer o.close()
	now, err := quota.Enabled(o.root.File)
	if err != nil {
		return // of the machine: nothing is known
	}
	if limits, _ := d.limiter(); now != quota.KindOf(limits) {
		o.detectLimits(ctx)
	}
}
