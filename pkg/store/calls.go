package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// A system call on a disk that does not answer keeps its thread for as long as
// that lasts, and nothing can interrupt it. So every call works in a goroutine of
// its own, which its caller can leave behind; a disk has a bounded number of
// places for them; and once one has been out for too long the disk is
// unresponsive: new calls fail at once, until it answers again.
const (
	// lookPatience is how long a look may take, which reads what every healthy
	// disk has in memory. callPatience is for calls that write and sync.
	lookPatience = 5 * time.Second
	callPatience = 15 * time.Second

	// doubtTime is how long a look takes at most on a disk that nobody has to
	// doubt: who has another disk to go to does not wait for longer.
	doubtTime = 300 * time.Millisecond

	maxChanges = 32
	maxReads   = 32

	// waitPoll is how often a waiting caller asks whether the disk answers.
	waitPoll = 100 * time.Millisecond
)

// kind says where a call takes its place.
type kind int

const (
	change kind = iota
	read
)

// calls are those at work on one disk.
type calls struct {
	places [2]chan struct{} // by kind

	mu  sync.Mutex // guards out
	out map[*call]struct{}
}

// call is one that has not returned.
type call struct {
	what     string
	began    time.Time
	patience time.Duration
}

func newCalls() *calls {
	return &calls{
		places: [2]chan struct{}{make(chan struct{}, maxChanges), make(chan struct{}, maxReads)},
		out:    map[*call]struct{}{},
	}
}

// begin notes a call that goes to the disk. The caller calls end when it is back.
func (c *calls) begin(what string, patience time.Duration) (end func()) {
	this := &call{what, time.Now(), patience}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out[this] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.out, this)
	}
}

// unresponsive returns an error, of reason disk.Unresponsive, while a call has been
// out for longer than its patience.
func (c *calls) unresponsive() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var worst *call
	for this := range c.out {
		if time.Since(this.began) > this.patience && (worst == nil || this.began.Before(worst.began)) {
			worst = this
		}
	}
	if worst == nil {
		return nil
	}
	return disk.Refuse(disk.Unresponsive, "it does not answer: %s has been waiting for it since %s; look at the disk (dmesg); hostdir goes on by itself once it answers",
		worst.what, worst.began.UTC().Format(time.RFC3339))
}

// inDoubt returns an error while the disk is unresponsive, or a look has been out
// for longer than doubtTime.
func (c *calls) inDoubt() error {
	if err := c.unresponsive(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for this := range c.out {
		if this.patience == lookPatience && time.Since(this.began) > doubtTime {
			return disk.Refuse(disk.Unresponsive, "it has not answered for a moment")
		}
	}
	return nil
}

// idle reports whether no call is at work.
func (c *calls) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) == 0
}

// enter waits for a place, as long as the disk answers and the context lasts.
func (c *calls) enter(ctx context.Context, k kind) (leave func(), err error) {
	places := c.places[k]
	for poll := (<-chan time.Time)(nil); ; {
		if err := c.unresponsive(); err != nil {
			return nil, err
		}
		select {
		case places <- struct{}{}:
			return func() { <-places }, nil
		default:
		}
		if poll == nil {
			poll = time.Tick(waitPoll)
		}
		select {
		case places <- struct{}{}:
			return func() { <-places }, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("%d other calls are at work on it and did not end in time: %w", cap(places), ctx.Err())
		case <-poll:
		}
	}
}

// job is a call that works in a goroutine of its own.
type job[T any] struct {
	disk *diskState
	done chan struct{} // closed when all below is set

	result   T
	err      error
	panicked string
}

// start lets do work on a disk. It returns an error, and do is never called, if
// the disk does not answer or has no place.
func start[T any](ctx context.Context, d *diskState, k kind, what string, do func() (T, error)) (*job[T], error) {
	leave, err := d.calls.enter(ctx, k)
	if err != nil {
		return nil, d.unavailable(err)
	}
	end := d.calls.begin(what, callPatience)
	j := &job[T]{disk: d, done: make(chan struct{})}
	goWarm(func() {
		defer close(j.done) // whoever waits finds the disk without this call
		defer leave()
		defer end()
		defer func() {
			if r := recover(); r != nil {
				j.panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
				klog.FromContext(ctx).Error(errors.New(j.panicked), "panic in a call on a disk", "call", what)
			}
		}()
		j.result, j.err = do()
	})
	return j, nil
}

// errLeftBehind is returned to a caller that was not kept waiting: its call goes on.
var errLeftBehind = errors.New("the call goes on there, and may still succeed")

// wait returns what the call returns, or errLeftBehind once the context ends or the disk
// is unresponsive.
func (j *job[T]) wait(ctx context.Context) (T, error) {
	return j.waitUnless(ctx, j.disk.calls.unresponsive)
}

// waitUnless is wait for a caller that leaves once leave returns an error.
func (j *job[T]) waitUnless(ctx context.Context, leave func() error) (T, error) {
	var none T
	for poll := time.Tick(waitPoll); ; {
		select {
		case <-j.done:
			if j.panicked != "" { // goes on to whoever catches the caller's own
				panic(j.panicked)
			}
			return j.result, j.err
		case <-ctx.Done():
			return none, fmt.Errorf("%w: disk %s has not answered in time: %w (%w)", errdefs.ErrUnavailable, j.disk.path, errLeftBehind, ctx.Err())
		case <-poll:
			if err := leave(); err != nil {
				return none, fmt.Errorf("%w (%w)", j.disk.unavailable(err), errLeftBehind)
			}
		}
	}
}

// run is start and wait.
func run[T any](ctx context.Context, d *diskState, k kind, what string, do func() (T, error)) (T, error) {
	j, err := start(ctx, d, k, what, do)
	if err != nil {
		var none T
		return none, err
	}
	return j.wait(ctx)
}
