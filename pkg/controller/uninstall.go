package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/controller/restore"
	"github.com/hostdir/hostdir/pkg/controller/reuse"
)

// deployment is what runs this program.
const deployment = "hostdir-controller"

// ReleaseClaims ends what the loops hold of claims and volumes, before hostdir is
// uninstalled. The loops have to end first, or they would begin again: it scales the
// Deployment to nothing, and waits for the lease.
func ReleaseClaims(ctx context.Context, o Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("the API server's address and credentials: %w", err)
	}
	config.QPS, config.Burst = o.QPS, o.Burst
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	d := &unstructured.Unstructured{}
	d.SetAPIVersion("apps/v1")
	d.SetKind("Deployment")
	d.SetNamespace(o.Namespace)
	d.SetName(deployment)
	err = c.SubResource("scale").Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`)))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("end the Deployment %s/%s: %w", o.Namespace, deployment, err)
	}
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.Namespace, leaderElectionID, k.CoreV1(), k.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host + "_release-claims"})
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	ended := make(chan error, 1)
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   15 * time.Second,
		RenewDeadline:   10 * time.Second,
		RetryPeriod:     2 * time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				ended <- errors.Join(reuse.LetGo(ctx, c, o.DriverName), restore.LetGo(ctx, c, o.DriverName))
				done()
			},
			OnStoppedLeading: func() {},
		},
	})
	select {
	case err := <-ended:
		return err
	default:
		return fmt.Errorf("the lease %s/%s was not to be had, or was lost: does hostdir-controller still run?", o.Namespace, leaderElectionID)
	}
}
