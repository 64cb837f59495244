package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/tree"
)

// ImportPhase is what an order about an import is doing.
type ImportPhase string

const (
	ImportMeasuring ImportPhase = "measuring"
	ImportCopying   ImportPhase = "copying"
	ImportComparing ImportPhase = "comparing"
	ImportLabelling ImportPhase = "labelling" // for its quota
	ImportRemoving  ImportPhase = "removing"
)

// importJob is an order about an import that is carried out, or was and nobody has been
// told. It goes on when whoever gave it leaves, and is met again by the same order.
type importJob struct {
	order string // import, undo or finish
	done  chan struct{}
	err   error // once done is closed

	phase atomic.Pointer[ImportProgress]
}

// ImportProgress is how a phase comes along.
type ImportProgress struct {
	Phase ImportPhase
	// Files and Bytes are done, of TotalFiles and TotalBytes, which are 0 if not known.
	Files      int64
	Bytes      int64
	TotalFiles int64
	TotalBytes int64

	watch *tree.Watch
}

// begin starts a phase and returns what to tell of it. step may end it.
func (j *importJob) begin(phase ImportPhase, total tree.Size, step func() error) *tree.Watch {
	w := &tree.Watch{Step: step}
	j.phase.Store(&ImportProgress{Phase: phase, TotalFiles: total.Files, TotalBytes: total.Bytes, watch: w})
	return w
}

// progress is nil unless the job is at work.
func (j *importJob) progress() *ImportProgress {
	select {
	case <-j.done:
		return nil
	default:
	}
	p := j.phase.Load()
	if p == nil {
		return nil
	}
	now := *p
	now.Files, now.Bytes = p.watch.Files.Load(), p.watch.Bytes.Load()
	return &now
}

// importJobs are the orders at work, by the volume's name.
type importJobs struct {
	mu   sync.Mutex // guards jobs
	jobs map[string]*importJob
}

// importPatience is how long an order is waited for before its giver is told how it
// comes along.
const importPatience = 5 * time.Second

// carryOut starts an order, or joins the one that is at work, and waits for a while.
// done is false if it goes on. The error of an order that failed while nobody waited is
// for the next one who gives it.
func (s *Store) carryOut(ctx context.Context, name, order string, do func(ctx context.Context, j *importJob) error) (done bool, err error) {
	j, err := s.importJob(ctx, name, order, do)
	if err != nil {
		return false, err
	}
	patience := time.NewTimer(importPatience)
	defer patience.Stop()
	select {
	case <-j.done:
		s.imports.forget(name, j)
		return true, j.err
	case <-ctx.Done():
	case <-patience.C:
	}
	return false, nil
}

func (s *Store) importJob(ctx context.Context, name, order string, do func(ctx context.Context, j *importJob) error) (*importJob, error) {
	s.imports.mu.Lock()
	defer s.imports.mu.Unlock()
	if j := s.imports.jobs[name]; j != nil {
		if j.order == order {
			return j, nil
		}
		select {
		case <-j.done: // nobody asks for that any more
		default:
			return nil, fmt.Errorf("volume %s: %w: its %s is under way", name, errdefs.ErrBusy, j.order)
		}
	}
	unlock, err := s.locks.lock(name)
	if err != nil {
		return nil, err
	}
	j := &importJob{order: order, done: make(chan struct{})}
	if s.imports.jobs == nil {
		s.imports.jobs = map[string]*importJob{}
	}
	s.imports.jobs[name] = j
	ctx, cancel := s.beyond(ctx)
	go func() {
		defer close(j.done)
		defer unlock()
		defer cancel()
		defer func() {
			if r := recover(); r != nil { // other disks have nothing to do with it
				j.err = fmt.Errorf("panic: %v", r)
				klog.FromContext(ctx).Error(j.err, "panic in an order about an import", "volume", name, "order", order, "stack", string(debug.Stack()))
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

func (all *importJobs) forget(name string, j *importJob) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.jobs[name] == j {
		delete(all.jobs, name)
	}
}

// running returns the order at work on a volume and how it comes along, nil if none is.
func (all *importJobs) running(name string) (order string, p *ImportProgress) {
	all.mu.Lock()
	defer all.mu.Unlock()
	j := all.jobs[name]
	if j == nil {
		return "", nil
	}
	return j.order, j.progress()
}
