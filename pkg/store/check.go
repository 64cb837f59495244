package store

import (
	"context"
	"fmt"
	"time"
)

// Finding is one thing that is wrong on this node, and what to do about it.
type Finding struct {
	Kind Kind `json:"kind"`
	// Path is what it is about.
	Path string `json:"path"`
	// VolumeID and Claim tell whose it is, where that is known.
	VolumeID string `json:"volumeID,omitempty"`
	Claim    Claim  `json:"claim,omitzero"`
	// What is a sentence: what is wrong. Do is what a person does about it.
	What string `json:"what"`
	Do   string `json:"do"`
	// Repairable says that Repair mends it.
	Repairable bool `json:"repairable"`
	// Failed is why Repair could not.
	Failed string `json:"failed,omitempty"`

	// mend puts it right, nil where that is not safe. It is called while the
	// look that found it lasts, with its descriptors open and its locks held.
	mend func() error
}

// Report is what a check has found.
type Report struct {
	// BaseDirectories and Volumes are how many were looked at.
	BaseDirectories int       `json:"baseDirectories"`
	Volumes         int       `json:"volumes"`
	Findings        []Finding `json:"findings"`
}

// Check looks for all that is wrong with the base directories of this node and
// what is in them, and changes nothing. Calls go on meanwhile: what one of them
// has in hand is looked at once it is done.
func (s *Store) Check(ctx context.Context, mounts MountTable) (Report, error) {
	s.checking.Lock()
	defer s.checking.Unlock()
	return s.newChecker(mounts).check(ctx)
}

// Repair checks, and mends what can be mended without removing, moving or
// overwriting data or records. It returns what it mended, or failed to, and what
// a second check finds.
func (s *Store) Repair(ctx context.Context, mounts MountTable) (mended []Finding, left Report, err error) {
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
			mended = append(mended, f)
		}
	}
	left, err = s.newChecker(mounts).check(ctx)
	return mended, left, err
}

// checker is one check of a store.
type checker struct {
	store  *Store
	mounts MountTable
	repair bool
	// patience is how long to wait for a call that has a volume in hand.
	patience time.Duration

	report Report
	more   int // findings that the report has no room for
	// owners are the volumes that have limits, by how filesystems know them.
	owners map[limitKey]limitOwner
}

func (s *Store) newChecker(mounts MountTable) *checker {
	return &checker{
		store: s, mounts: mounts, patience: lockPatience,
		report: Report{Findings: []Finding{}},
		owners: map[limitKey]limitOwner{},
	}
}

func (c *checker) check(ctx context.Context) (Report, error) {
	c.configuration()
	for _, b := range c.store.snapshot() {
		c.report.BaseDirectories++
		c.base(ctx, b)
		if err := ctx.Err(); err != nil {
			return Report{}, fmt.Errorf("the check of %s was not finished: %w", b.path, err)
		}
	}
	if c.more > 0 {
		c.report.Findings = append(c.report.Findings, Finding{
			Kind: TooMany, Path: c.store.configFile,
			What: fmt.Sprintf("there are %d more findings than are shown", c.more),
			Do:   "mend those that are shown, then check again",
		})
	}
	return c.report, nil
}

// base checks a base directory, until it turns out that it cannot be used. Each
// part opens it for itself: a descriptor that is held through the whole check
// would keep the admin's umount waiting.
func (c *checker) base(ctx context.Context, b *base) {
	c.sums(b)
	if c.withBase(b, c.layout) && c.volumes(ctx, b) && c.trash(ctx, b) && c.claims(ctx, b) {
		c.mounted(b)
	}
}

// maxFindings bounds a report, and the memory it takes.
const maxFindings = 10_000

// found takes a finding into the report. In a repair it is mended first.
func (c *checker) found(f Finding) {
	f.Repairable = f.mend != nil
	if c.repair && f.Repairable {
		if err := f.mend(); err != nil {
			f.Failed = err.Error()
		}
	}
	f.mend = nil
	if len(c.report.Findings) == maxFindings {
		c.more++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

// look reports what a look finds. A call under way can look like damage, so what
// is seen without the locks of the volumes that it is about counts only if it is
// seen again with them.
func (c *checker) look(ctx context.Context, about Finding, names []string, look func(found func(Finding))) {
	suspicious := false
	look(func(Finding) { suspicious = true })
	if !suspicious {
		return
	}
	for _, name := range names {
		unlock := c.lock(ctx, name)
		if unlock == nil {
			about.Kind = Busy
			about.What = fmt.Sprintf("something may be wrong, but a call has been working on volume %s for more than %s", name, c.patience)
			about.Do = "check again; if it stays, the disk may hang: look into hostdir's log and the node's"
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

// withBase opens a base directory for a part of the check. It reports one that
// cannot be used.
func (c *checker) withBase(b *base, do func(b *base, pool *dir)) (ok bool) {
	pool, err := b.open()
	if err != nil {
		c.unusable(b, err)
		return false
	}
	defer pool.close()
	do(b, pool)
	return true
}
