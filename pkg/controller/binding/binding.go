// Package binding binds claims to the volumes that hostdir's provisioner made for
// them, with the writes of kube-controller-manager's binder and in their order. The
// binder makes them as well, but at 20 requests a second for all that it does in the
// cluster, so that thirty claims at once wait for seconds.
//
// It never is the only one: what it leaves, or has half done when it ends, the
// binder goes on with. And it never is ahead of the binder's own knowledge: a claim
// that is bound to a volume which the binder has not seen yet is Lost to it. See
// binder.go.
package binding

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// workers bind so many claims at the same time. A claim takes three requests, one
	// after the other, of some milliseconds.
	workers = 10
	// claimIndex finds the volumes that are there for a claim.
	claimIndex = "binding.claim"
)

// Options are the loop's flags.
type Options struct {
	// Enabled is false to leave all binding to kube-controller-manager.
	Enabled bool
	// QPS bounds the loop's writes, a second.
	QPS float32
	// NewClient makes the loop's client, which writes; nil is client.New.
	NewClient client.NewClientFunc
}

// AddFlags defines the flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.Enabled, "fast-binding", true, "bind claims to the volumes made for them without waiting for kube-controller-manager's turn")
	flags.Float32Var(&o.QPS, "fast-binding-qps", 100, "writes to the API server for that, a second: a claim takes three")
}

// Validate reports what is wrong with the flags.
func (o *Options) Validate() error {
	if o.Enabled && o.QPS < 1 {
		return errors.New("--fast-binding-qps has to be 1 or more; --fast-binding=false turns it off")
	}
	return nil
}

// loop binds.
type loop struct {
	driver string
	// cached reads what the watches brought. It may be old: the writes tell.
	cached client.Reader
	writer
	binder *binder
	seen   *firstSeen
}

// Add adds the loop to the manager, for the volumes of a driver.
func Add(m manager.Manager, driver string, o Options) error {
	if !o.Enabled {
		return nil
	}
	c, err := newClient(m, o)
	if err != nil {
		return err
	}
	err = m.GetFieldIndexer().IndexField(context.Background(), &corev1.PersistentVolume{}, claimIndex, func(o client.Object) []string {
		ref := o.(*corev1.PersistentVolume).Spec.ClaimRef
		if ref == nil {
			return nil
		}
		return []string{ref.Namespace + "/" + ref.Name}
	})
	if err != nil {
		return err
	}
	w := writer{client: c, driver: driver, limit: flowcontrol.NewTokenBucketRateLimiter(o.QPS, int(o.QPS))}
	l := &loop{driver: driver, cached: m.GetCache(), writer: w, binder: newBinder(w, m.GetCache()), seen: newFirstSeen()}
	if err := m.Add(l.binder); err != nil {
		return err
	}
	if err := addHandOver(m, w); err != nil {
		return err
	}
	k, err := controller.New("binding", m, controller.Options{Reconciler: l, MaxConcurrentReconciles: workers})
	if err != nil {
		return err
	}
	if err := k.Watch(source.Kind(m.GetCache(), &corev1.PersistentVolume{}, l.events())); err != nil {
		return err
	}
	return k.Watch(source.Channel(l.binder.released, &handler.EnqueueRequestForObject{}))
}

// newClient makes a client that does not take from what the other loops may send,
// and reads what is there now.
func newClient(m manager.Manager, o Options) (client.Client, error) {
	config := *m.GetConfig()
	config.QPS = -1
	if o.NewClient == nil {
		o.NewClient = client.New
	}
	c, err := o.NewClient(&config, client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper(), HTTPClient: m.GetHTTPClient()})
	if err != nil {
		return nil, fmt.Errorf("a client of the API server to bind claims: %w", err)
	}
	return c, nil
}

// events takes up each volume when it appears: nothing that happens to it later makes
// it one to bind.
func (l *loop) events() handler.TypedEventHandler[*corev1.PersistentVolume, request] {
	return handler.TypedFuncs[*corev1.PersistentVolume, request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.PersistentVolume], q queue) {
			l.binder.look(e.Object)
			if whyNotVolume(e.Object, l.driver) != "" {
				return
			}
			l.seen.note(e.Object)
			q.AddAfter(request{NamespacedName: client.ObjectKeyFromObject(e.Object)}, patience)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.PersistentVolume], _ queue) {
			l.binder.look(e.ObjectNew)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.PersistentVolume], _ queue) {
			l.seen.forget(e.Object.Name)
		},
	}
}

// patience is how long the binder alone has a try. When it is not busy it takes less
// than that, and no request more is needed.
const patience = 40 * time.Millisecond
