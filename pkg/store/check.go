package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostdir/hostdir/pkg/disk"
)

// Finding is one thing that is wrong on this node, and what to do about it.
type Finding struct {
	Kind Kind `json:"kind"`
	// Path is what it is about.
	Path string `json:"path"`
	// VolumeID and Claim say whose it is, where that is known.
	VolumeID string `json:"volumeID,omitempty"`
	Claim    Claim  `json:"claim,omitzero"`
	// Problem is a sentence: what is wrong. Remedy is what a person does about it.
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
	// Repairable says that Repair fixes it.
	Repairable bool `json:"repairable"`
	// Failed is why Repair could not.
	Failed string `json:"failed,omitempty"`

	// fix puts it right, nil where that is not safe. It is called while the look
	// that found it lasts, with its descriptors open and its locks held.
	fix func() error
}

// Report is what a check has found.
type Report struct {
	// Disks and Volumes are how many were looked at.
	Disks    int       `json:"disks"`
	Volumes  int       `json:"volumes"`
	Findings []Finding `json:"findings"`
}

// Check looks for all that is wrong with the disks of this node and what is on
// them, and changes nothing. Calls go on meanwhile: what one of them has in hand is
// looked at once it is done. A disk that does not answer is a finding.
func (s *Store) Check(ctx context.Context, mounts MountTable) (Report, error) {
	s.checking.Lock()
	defer s.checking.Unlock()
	return s.newChecker(mounts).check(ctx)
}

// Repair checks, and fixes what can be fixed without removing, moving or
// overwriting data or records. It returns what it fixed, or failed to, and what a
// second check finds.
func (s *Store) Repair(ctx context.Context, mounts MountTable) (repaired []Finding, left Report, err error) {
	s.checking.Lock()
	defer s.checking.Unlock()
	c := s.newChecker(mounts)
	c.repair = true
	before, err := c.check(ctx)
	if err != nil {
		return nil, Report{}, err
	}
	for _, f := range before.Findings {
		if f.Repairable {
			repaired = append(repaired, f)
		}
	}
	left, err = s.newChecker(mounts).check(ctx)
	return repaired, left, err
}

// checker is one check of a store, or of one of its disks.
type checker struct {
	store  *Store
	mounts MountTable
	repair bool
	// patience is how long to wait for a call that has a volume in hand.
	patience time.Duration

	report Report
	more   int // findings that the report has no room for
	// owners are the volumes that have limits.
	owners []limitOwner
}

func (s *Store) newChecker(mounts MountTable) *checker {
	return &checker{store: s, mounts: mounts, patience: lockPatience, report: Report{Findings: []Finding{}}}
}

func (c *checker) check(ctx context.Context) (Report, error) {
	c.configuration()
	c.disks(ctx)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("the check was not finished: %w", err)
	}
	c.sharedLimits(ctx)
	c.twins()
	if c.more > 0 {
		c.report.Findings = append(c.report.Findings, Finding{
			Kind: TooMany, Path: c.store.configFile,
			Problem: fmt.Sprintf("there are %d more findings than are shown", c.more),
			Remedy:  "fix those that are shown, then check again",
		})
	}
	return c.report, nil
}

// disks checks all disks side by side. One that does not answer is left behind,
// with what its check has found.
func (c *checker) disks(ctx context.Context) {
	type result struct {
		*checker
		left error
	}
	results := make([]chan result, 0)
	for _, p := range c.store.places() {
		c.report.Disks++
		out := make(chan result, 1)
		results = append(results, out)
		each := c.store.newChecker(c.mounts)
		each.repair, each.patience = c.repair, c.patience
		if p.disk == nil {
			each.unusable(p.path, p.err)
			out <- result{each, nil}
			continue
		}
		done := make(chan struct{})
		go func() { each.disk(ctx, p.disk); close(done) }()
		go func() {
			if err := p.disk.await(ctx, done); err != nil {
				silent := c.store.newChecker(c.mounts)
				silent.unusable(p.path, err)
				out <- result{silent, err}
				return
			}
			out <- result{each, nil}
		}()
	}
	for _, out := range results {
		r := <-out
		c.report.Volumes += r.report.Volumes
		c.owners = append(c.owners, r.owners...)
		c.more += r.more
		for _, f := range r.report.Findings {
			c.keep(f)
		}
	}
}

// await waits until done is closed, the context ends or the disk is unresponsive.
func (d *diskState) await(ctx context.Context, done <-chan struct{}) error {
	for poll := time.Tick(waitPoll); ; {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-poll:
			if err := d.calls.unresponsive(); err != nil {
				return err
			}
		}
	}
}

// disk checks one disk, until it turns out that it cannot be used. Each part opens
// it for itself: a descriptor that is held through the whole check would keep the
// admin's umount waiting.
func (c *checker) disk(ctx context.Context, d *diskState) {
	if c.withDisk(d, c.layout) && c.volumes(ctx, d) && c.snapshots(ctx, d) && c.trash(ctx, d) && c.claims(ctx, d) {
		c.mounted(d)
	}
}

// maxFindings bounds a report, and the memory it takes.
const maxFindings = 10_000

// found takes a finding into the report. In a repair it is fixed first.
func (c *checker) found(f Finding) {
	f.Repairable = f.fix != nil
	if c.repair && f.Repairable {
		if err := f.fix(); err != nil {
			f.Failed = err.Error()
		}
	}
	f.fix = nil
	c.keep(f)
}

func (c *checker) keep(f Finding) {
	if len(c.report.Findings) == maxFindings {
		c.more++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

// twice reports what a look finds. A call under way can look like damage, so what
// is seen without the locks of the volumes that it is about counts only if it is
// seen again with them.
func (c *checker) twice(ctx context.Context, about Finding, names []string, look func(found func(Finding))) {
	suspicious := false
	look(func(Finding) { suspicious = true })
	if !suspicious {
		return
	}
	for _, name := range names {
		unlock := c.lock(ctx, name)
		if unlock == nil {
			about.Kind = Busy
			about.Problem = fmt.Sprintf("something may be wrong, but a call has been working on volume %s for more than %s", name, c.patience)
			about.Remedy = "check again; if it stays, the disk may hang: look into hostdir's log and the node's"
			c.found(about)
			return
		}
		defer unlock()
	}
	look(c.found)
}

const (
	// lockPatience is how long a check waits for a call to end, lockPoll how
	// often it looks.
	lockPatience = 10 * time.Second
	lockPoll     = 2 * time.Millisecond
)

// lock waits for a volume's lock. It returns nil if that takes too long.
func (c *checker) lock(ctx context.Context, name string) (unlock func()) {
	for deadline := time.Now().Add(c.patience); ; time.Sleep(lockPoll) {
		unlock, err := c.store.locks.lock(name)
		if err == nil {
			return unlock
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return nil
		}
	}
}

// withDisk opens a disk for a part of the check. It reports one that cannot be
// used.
func (c *checker) withDisk(d *diskState, do func(o openDisk)) (ok bool) {
	end := d.calls.begin("a check", callPatience)
	defer end()
	o, err := d.open()
	if err != nil {
		c.unusable(d.path, errors.Unwrap(err))
		return false
	}
	defer o.close()
	do(o)
	return true
}

func (c *checker) unusable(path string, err error) {
	c.found(Finding{
		Kind: DiskUnusable, Path: path,
		Problem: fmt.Sprintf("the disk cannot be used (%s), and its volumes were not looked at: %v", disk.ReasonOf(err), err),
		Remedy:  "put right what the reason names; hostdir looks again every " + lookInterval.String(),
	})
}

// twins finds volumes of one name on two disks: one of them was made while the
// other's disk was away, and belongs to nobody.
func (c *checker) twins() {
	having := map[string][]*diskState{}
	for _, d := range c.store.inUse() {
		for _, v := range d.list() {
			having[v.Dir] = append(having[v.Dir], d)
		}
	}
	var all []Finding
	for name, disks := range having {
		if len(disks) < 2 {
			continue
		}
		for i, d := range disks {
			v := d.volume(name)
			if v == nil {
				continue
			}
			other := disks[(i+1)%len(disks)]
			all = append(all, Finding{
				Kind: TwinVolume, Path: d.path + "/" + disk.VolumesDir + "/" + name, VolumeID: v.ID, Claim: v.Claim,
				Problem: "the disk " + other.path + " has a volume of the same name: one was made while the disk of the other was away, and only one belongs to the claim",
				Remedy: "`kubectl get pv " + cmp.Or(v.PersistentVolume, name) + " -o jsonpath={.spec.csi.volumeHandle}` prints the ID of the one that is used. " +
					"`hostdir volumes delete` with the ID of the other one moves that to the trash",
			})
		}
	}
	slices.SortFunc(all, func(a, b Finding) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range all {
		c.found(f)
	}
}
