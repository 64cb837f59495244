package binding

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hostdir/hostdir/pkg/controller"
	"github.com/hostdir/hostdir/pkg/controller/binding"
)

// TestProgram runs the loop as hostdir-controller does, with a lease and one client
// for all.
func TestProgram(t *testing.T) {
	w := start(t)
	w.StartControllerManager(t, binders...)
	w = w.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- controller.Run(ctx, controller.Options{
			DriverName: driver, Kubeconfig: w.Kubeconfig(), Namespace: "default", QPS: 50, Burst: 100,
			Binding: binding.Options{Enabled: true, QPS: 100},
		})
	}()
	before := bound(t)
	made := make([]*corev1.PersistentVolumeClaim, 60)
	parallel(len(made), func(i int) {
		made[i] = w.newClaim(fmt.Sprintf("c-%d", i))
		w.create(volumeFor(made[i]))
	})
	for _, c := range made {
		w.await(func() string { return w.wrong(c, volumeFor(c).Name) })
	}
	if n := bound(t) - before; n == 0 {
		t.Error("the loop bound none of them")
	} else {
		t.Logf("the loop bound %d of %d", n, len(made))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.noProbes()
}

// bound returns how many claims the loop says that it has bound.
func bound(t *testing.T) uint64 {
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "hostdir_controller_binding_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatal("there is no metric of it")
	return 0
}
