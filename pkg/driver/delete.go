package driver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

const (
	// deletePatience is longer than kubelet takes to kill a container that nobody
	// waits for any more, and to unmount its volumes.
	deletePatience = 10 * time.Second
	// deleteReserve is what waiting leaves of the caller's own time: the last
	// attempt may meet a slow disk, and its answer has to arrive.
	deleteReserve = 5 * time.Second
)

// How long a delete waits, at first and at most, before it looks again by itself:
// a person's umount wakes nobody.
var (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

// deletes lets the delete of a volume that is still published wait for its
// unpublish. When a pod is deleted together with its claim, the provisioner often
// asks some milliseconds before kubelet does; a refusal would be a Warning for
// people, and a retry seconds later.
//
// A delete that waits holds nothing: each attempt is a call of its own, with a
// place and a lock of its own.
type deletes struct {
	stopping <-chan struct{} // closed when the server stops, which waits for its calls

	mu      sync.Mutex               // guards waiting
	waiting map[chan struct{}]string // the volume's ID, by what wakes the delete
}

func newDeletes(stopping <-chan struct{}) *deletes {
	return &deletes{stopping: stopping, waiting: map[chan struct{}]string{}}
}

// intercept repeats deletes, and wakes them when an unpublish has ended.
func (d *deletes) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	switch r := req.(type) {
	case *csi.DeleteVolumeRequest:
		return d.repeat(ctx, r.GetVolumeId(), func() (any, error) { return handler(ctx, req) })
	case *csi.NodeUnpublishVolumeRequest:
		defer d.wake(r.GetVolumeId())
	}
	return handler(ctx, req)
}

// repeat attempts a delete until the volume is neither published nor held by
// another call, or waiting is no longer worth it.
func (d *deletes) repeat(ctx context.Context, volumeID string, attempt func() (any, error)) (any, error) {
	end := time.Now().Add(deletePatience)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-deleteReserve).Before(end) {
		end = deadline.Add(-deleteReserve)
	}
	// From before the first attempt: an unpublish may end just after it.
	woken, stop := d.wait(volumeID)
	defer stop()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		resp, err := attempt()
		left := time.Until(end)
		if left <= 0 || !errors.Is(err, errdefs.ErrInUse) && !errors.Is(err, errdefs.ErrBusy) {
			return resp, err
		}
		select {
		case <-woken:
		case <-time.After(min(pause, left)):
		case <-ctx.Done():
			return resp, err
		case <-d.stopping:
			return resp, err
		}
	}
}

// wait returns what receives when the volume may have become free.
func (d *deletes) wait(volumeID string) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[c] = volumeID
	return c, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting, c)
	}
}

// wake lets the deletes of a volume try again now.
func (d *deletes) wake(volumeID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c, id := range d.waiting {
		if id != volumeID {
			continue
		}
		select {
		case c <- struct{}{}:
		default: // it is awake
		}
	}
}
