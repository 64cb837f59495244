package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/tree"
)

// Phase is what a long job is doing.
type Phase string

const (
	Measuring Phase = "measuring"
	Copying   Phase = "copying"
	Comparing Phase = "comparing"
	Labelling Phase = "labelling" // for its quota
	Removing  Phase = "removing"
)

// longJob is work on one volume or snapshot that may take hours: an order about an
// import, or a copy. It goes on when whoever gave the order leaves, and is met again by
// the same order; nobody may have been told yet how it ended.
type longJob struct {
	order  string // import, undo, finish, snapshot or restore
	began  time.Time
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed

	phase atomic.Pointer[Progress]
	// snapshot is what the record of a snapshot will say, nil until that is known.
	snapshot atomic.Pointer[SnapshotRecord]
}

// Progress is how a phase comes along.
type Progress struct {
	Phase Phase
	// Files and Bytes are done, of TotalFiles and TotalBytes, which are 0 if not known.
	Files      int64
	Bytes      int64
	TotalFiles int64
	TotalBytes int64

	watch *tree.Watch
}

// begin starts a phase and returns what to tell of it. step may end it.
func (j *longJob) begin(phase Phase, total tree.Size, step func() error) *tree.Watch {
	w := &tree.Watch{Step: step}
	j.phase.Store(&Progress{Phase: phase, TotalFiles: total.Files, TotalBytes: total.Bytes, watch: w})
	return w
}

// progress is nil unless the job is at work.
func (j *longJob) progress() *Progress {
	p := j.phase.Load()
	if p == nil || j.ended() {
		return nil
	}
	now := *p
	now.Files, now.Bytes = p.watch.Files.Load(), p.watch.Bytes.Load()
	return &now
}

// ended reports whether nothing is done any more.
func (j *longJob) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// longJobs are those at work, by what they lock.
type longJobs struct {
	mu   sync.Mutex // guards jobs
	jobs map[string]*longJob
}

// jobPatience is how long an order is waited for before its giver is told how it
// comes along.
const jobPatience = 5 * time.Second

// carryOut starts an order, or joins the one that is at work, and waits for a while, or
// until leave returns an error. done is false if it goes on. The error of an order that
// failed while nobody waited is for the next one who gives it.
func (s *Store) carryOut(ctx context.Context, name, order string, leave func() error, do func(ctx context.Context, j *longJob) error) (done bool, err error) {
	j, err := s.join(ctx, name, order, do)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	done, err = j.wait(ctx, leave)
	if done {
		s.jobs.forget(name, j)
		return true, j.err
	}
	return false, err
}

// wait waits until a job has ended, as long as the context lasts, or until leave returns
// an error.
func (j *longJob) wait(ctx context.Context, leave func() error) (done bool, err error) {
	for poll := time.Tick(waitPoll); ; {
		select {
		case <-j.done:
			return true, nil
		case <-ctx.Done():
			return false, nil
		case <-poll:
			if err := leave(); err != nil {
				return false, err
			}
		}
	}
}

// stay is for who waits whatever the disk does.
func stay() error { return nil }

// silent returns an error, an ErrUnavailable, while a disk does not answer: what a job
// does there may end at any time, or never.
func (d *diskState) silent() error {
	if err := d.calls.unresponsive(); err != nil {
		return d.unavailable(err)
	}
	return nil
}

// seeThrough calls do with an open disk, as a call of its own, and waits for it whatever
// the disk does and whoever ends the job. Once a job has ended nothing of it may be at
// work any more: a commit would find what another job builds under the same name, or
// bring to light what was deleted meanwhile.
func (d *diskState) seeThrough(ctx context.Context, what string, do func(o openDisk) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j, err := start(ctx, d, change, what, d.opened(do))
	if err != nil {
		return err
	}
	_, err = j.waitUnless(context.WithoutCancel(ctx), stay)
	return err
}

func (s *Store) join(ctx context.Context, name, order string, do func(ctx context.Context, j *longJob) error) (*longJob, error) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	if j := s.jobs.jobs[name]; j != nil {
		if j.order == order {
			return j, nil
		}
		if !j.ended() { // else nobody asks for that any more
			return nil, fmt.Errorf("%s: %w: its %s is under way", name, errdefs.ErrBusy, j.order)
		}
	}
	unlock, err := s.locks.lock(name)
	if err != nil {
		return nil, err
	}
	j := &longJob{order: order, began: time.Now(), done: make(chan struct{})}
	if s.jobs.jobs == nil {
		s.jobs.jobs = map[string]*longJob{}
	}
	s.jobs.jobs[name] = j
	ctx, j.cancel = s.beyond(ctx)
	go func() {
		defer close(j.done)
		defer unlock()
		defer j.cancel()
		defer func() {
			if r := recover(); r != nil { // other disks have nothing to do with it
				j.err = fmt.Errorf("panic: %v", r)
				klog.FromContext(ctx).Error(j.err, "panic in a long job", "name", name, "order", order, "stack", string(debug.Stack()))
			}
		}()
		j.err = do(ctx, j)
	}()
	return j, nil
}

// beyond returns a context that outlasts whoever gave an order, and ends with Run.
func (s *Store) beyond(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.RLock()
	running := s.running
	s.mu.RUnlock()
	if running == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(running, cancel)
	return ctx, func() { stop(); cancel() }
}

func (all *longJobs) forget(name string, j *longJob) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.jobs[name] == j {
		delete(all.jobs, name)
	}
}

// find returns the job that locks a name, nil if there is none.
func (all *longJobs) find(name string) *longJob {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.jobs[name]
}

// atWork returns the jobs that have not ended, by what they lock.
func (all *longJobs) atWork() map[string]*longJob {
	all.mu.Lock()
	defer all.mu.Unlock()
	working := map[string]*longJob{}
	for name, j := range all.jobs {
		if !j.ended() {
			working[name] = j
		}
	}
	return working
}

// running returns the order at work on a volume and how it comes along, nil if none is.
func (all *longJobs) running(name string) (order string, p *Progress) {
	j := all.find(name)
	if j == nil {
		return "", nil
	}
	return j.order, j.progress()
}

// stop ends a job and waits until it has cleared away what it began, or until leave
// returns an error.
func (all *longJobs) stop(ctx context.Context, name string, leave func() error) error {
	j := all.find(name)
	if j == nil {
		return nil
	}
	j.cancel()
	done, err := j.wait(ctx, leave)
	if done {
		all.forget(name, j)
		return nil
	}
	return fmt.Errorf("%w: its %s is being ended: %w", errdefs.ErrBusy, j.order, errors.Join(err, ctx.Err()))
}
