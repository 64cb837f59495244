// Package controller runs the loops that need to see the whole cluster, which no
// node plugin does. It keeps no state but the API server's: whatever it was about to
// do when it ended is seen again by the next one.
package controller

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hostdir/hostdir/pkg/controller/binding"
	"github.com/hostdir/hostdir/pkg/controller/misplaced"
	"github.com/hostdir/hostdir/pkg/controller/nodeloss"
	"github.com/hostdir/hostdir/pkg/controller/restore"
	"github.com/hostdir/hostdir/pkg/controller/reuse"
)

// leaderElectionID is the name of the lease of the replica that acts.
const leaderElectionID = "hostdir-controller"

// Options are what the controller is told by its flags.
type Options struct {
	// DriverName is the name of the CSI driver: the loops touch nothing of others.
	DriverName string
	// Kubeconfig is a file with the API server's address and credentials; "" is
	// what Kubernetes gives a pod.
	Kubeconfig string
	// Namespace is where the lease is, and the objects of the release.
	Namespace string
	// QPS and Burst bound the requests to the API server.
	QPS   float32
	Burst int
	// Binding is for claims that wait for kube-controller-manager.
	Binding binding.Options
	// Misplaced is for pods that cannot start where the scheduler placed them.
	Misplaced misplaced.Options
	// NodeLoss is for lost nodes.
	NodeLoss nodeloss.Options
}

// loops are what the controller runs.
var loops = []func(manager.Manager, Options) error{
	func(m manager.Manager, o Options) error { return binding.Add(m, o.DriverName, o.Binding) },
	func(m manager.Manager, o Options) error { return reuse.Add(m, o.DriverName) },
	func(m manager.Manager, o Options) error {
		return nodeloss.Add(m, o.DriverName, o.Namespace, o.NodeLoss)
	},
	func(m manager.Manager, o Options) error { return misplaced.Add(m, o.DriverName, o.Misplaced) },
	func(m manager.Manager, o Options) error { return restore.Add(m, o.DriverName, o.Namespace) },
}

// Run runs the loops, in one replica at a time, until the context ends.
func Run(ctx context.Context, o Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("the API server's address and credentials: %w", err)
	}
	config.QPS, config.Burst = o.QPS, o.Burst
	m, err := newManager(ctx, config, o)
	if err != nil {
		return err
	}
	return m.Start(ctx)
}

func newManager(ctx context.Context, config *rest.Config, o Options) (manager.Manager, error) {
	log.SetLogger(klog.FromContext(ctx))
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, policyv1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	grace := 5 * time.Second
	m, err := manager.New(config, manager.Options{
		Scheme: scheme,
		Logger: klog.FromContext(ctx),
		// Nobody here reads who wrote which field, and it is half of each object.
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		LeaderElection:                true,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
		// The program serves both on a port of its own.
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
	})
	if err != nil {
		return nil, err
	}
	for _, add := range loops {
		if err := add(m, o); err != nil {
			return nil, err
		}
	}
	return m, nil
}
