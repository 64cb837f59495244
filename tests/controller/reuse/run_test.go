package reuse

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hostdir/hostdir/pkg/controller/reuse"
)

// run runs the loop, with the rights that it has in a cluster, until the test ends or stop is called. Its writes go through what
// wrap returns, if there is any.
func (c *cluster) run(t *testing.T, wrap func(client.Client) client.Client) (stop func()) {
	t.Helper()
	skip := true
	grace := time.Second
	o := manager.Options{
		Scheme:                  c.scheme,
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: &grace,
		Controller:              config.Controller{SkipNameValidation: &skip},
	}
	if wrap != nil {
		o.NewClient = func(rc *rest.Config, co client.Options) (client.Client, error) {
			inner, err := client.New(rc, co)
			return wrap(inner), err
		}
	}
	limited := rest.CopyConfig(c.server.Config)
	limited.Impersonate.UserName = "system:serviceaccount:hostdir-system:hostdir-controller"
	m, err := manager.New(limited, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := reuse.Add(m, driver); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

var errKilled = errors.New("killed")

// killer fails a client's writes from the n-th on, which may still be done: a program
// that is killed does not learn of it.
type killer struct {
	client.Client
	mu     sync.Mutex
	left   int
	after  bool // the n-th write is done
	dead   chan struct{}
	killed sync.Once
}

func (k *killer) write(do func() error) error {
	k.mu.Lock()
	k.left--
	left := k.left
	k.mu.Unlock()
	if left > 0 {
		return do()
	}
	if left == 0 && k.after {
		do()
	}
	k.killed.Do(func() { close(k.dead) })
	return errKilled
}

func (k *killer) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return k.write(func() error { return k.Client.Create(ctx, o, opts...) })
}

func (k *killer) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	return k.write(func() error { return k.Client.Patch(ctx, o, p, opts...) })
}

func (k *killer) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	return k.write(func() error { return k.Client.Update(ctx, o, opts...) })
}

func (k *killer) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	return k.write(func() error { return k.Client.Delete(ctx, o, opts...) })
}

// surviving runs the loop, killed at its n-th write and started anew, and reports by
// died whether it came to that.
func (c *cluster) surviving(t *testing.T, n int, after bool) (died func() bool) {
	t.Helper()
	k := &killer{left: n, after: after, dead: make(chan struct{})}
	stop := c.run(t, func(inner client.Client) client.Client { k.Client = inner; return k })
	over := make(chan struct{})
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		select {
		case <-k.dead:
			stop()
			c.run(t, nil)
		case <-over:
		}
	}()
	t.Cleanup(func() { close(over); <-restarted })
	return func() bool {
		select {
		case <-k.dead:
			return true
		default:
			return false
		}
	}
}
