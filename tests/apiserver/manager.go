package apiserver

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// RunManager runs a manager with the loop that add puts into it, until the test
// ends or stop is called. Its client crashes as c says; nil never does. When it is
// killed, a new one without crash takes its place.
func (s *Server) RunManager(t testing.TB, c *Crash, add func(manager.Manager, *Crash) error) (stop func()) {
	t.Helper()
	if c == nil {
		c = &Crash{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	m, err := s.newManager(c, add)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runUntilKilled(ctx, t, m, c)
		if ctx.Err() != nil {
			return
		}
		c := &Crash{}
		m, err := s.newManager(c, add)
		if err != nil {
			t.Error(err)
			return
		}
		runUntilKilled(ctx, t, m, c)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func runUntilKilled(ctx context.Context, t testing.TB, m manager.Manager, c *Crash) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.Killed():
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := m.Start(ctx); err != nil {
		t.Errorf("the manager: %v", err)
	}
}

func (s *Server) newManager(c *Crash, add func(manager.Manager, *Crash) error) (manager.Manager, error) {
	log.SetLogger(klog.Background())
	again, grace := true, time.Second
	m, err := manager.New(s.Config, manager.Options{
		Scheme:                  scheme.Scheme,
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		NewClient:               c.NewClient,
		GracefulShutdownTimeout: &grace,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		// The process has several managers, one after the other.
		Controller: config.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		return nil, err
	}
	return m, add(m, c)
}
