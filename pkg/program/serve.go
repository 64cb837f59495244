package program

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// endTime is how long servers may take to end. They let the calls under way
// finish, which takes milliseconds, but one that works on a disk that does not
// answer may never return. kubelet kills the pod after 30 seconds, and the next
// one cannot start before: on such a node this makes the wait shorter.
const endTime = 10 * time.Second

// Servers are what a program serves side by side, by names for the log. Each runs
// until its context ends.
type Servers map[string]func(ctx context.Context) error

// ServeAll runs servers. When one returns, or the context ends, all are asked to
// end; the first error is returned once they have. One that does not within
// endTime is left behind: the process is about to exit.
func ServeAll(ctx context.Context, servers Servers) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		name string
		err  error
	}
	ends := make(chan end, len(servers))
	for name, serve := range servers {
		go func() { ends <- end{name, serve(ctx)} }()
	}
	running := maps.Clone(servers)
	var failed error
	var timeout <-chan time.Time
	asked := ctx.Done()
	for len(running) > 0 {
		select {
		case e := <-ends:
			delete(running, e.name)
			if failed == nil {
				failed = e.err
			}
			cancel()
		case <-asked:
			asked, timeout = nil, time.After(endTime)
		case <-timeout:
			klog.FromContext(ctx).Error(errors.New("a call does not return; does a disk of this node not answer?"), "not everything ended in time",
				"running", strings.Join(slices.Sorted(maps.Keys(running)), ", "), "waited", endTime)
			return failed
		}
	}
	return failed
}
