// Package nodeloss does what a class's `onNodeLoss` says about volumes whose node is
// gone for good.
//
// A node is lost when its Node object has been absent for the grace, or when a person
// says so of its volumes. Nothing else counts: no cordon, drain, NotReady, reboot or
// taint. Since when it is absent is written on its PersistentVolumes, so that a restart
// does not change it. When the node is back, its plugin is asked which disks it has: a
// disk that is there was never lost, one that is not is reported.
//
// Nothing here touches data. Whatever is given up gets the reclaim policy Retain before
// anything else, in one write, so that a node that returns in the middle deletes nothing.
//
// What to do is decided by one function, from what is there. Each write is a step of
// its own, and fails if the object is not the one that was decided on; after a crash the
// next one goes on from what was written.
package nodeloss

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Options are what the loop is told by flags.
type Options struct {
	// Grace is how long a Node object has to be absent.
	Grace time.Duration
	// PerHour is how many volumes are given up in an hour at most.
	PerHour int
	// DryRun changes nothing but annotations, and tells what would be done.
	DryRun bool
}

// AddFlags adds the flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.Grace, "node-loss-grace", 10*time.Minute, "how long a Node object has to be absent until its node is lost")
	flags.IntVar(&o.PerHour, "node-loss-per-hour", 20, "how many volumes of lost nodes are given up in an hour at most")
	flags.BoolVar(&o.DryRun, "node-loss-dry-run", false, "give nothing up, and tell by log and events what would be")
}

// maxPerHour keeps what is remembered of an hour well below the size of an object.
const maxPerHour = 1000

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.Grace < time.Second:
		return errors.New("--node-loss-grace has to be at least a second")
	case o.PerHour < 0 || o.PerHour > maxPerHour:
		return errors.New("--node-loss-per-hour has to be 0 to 1000")
	}
	return nil
}

type nodeloss struct {
	driver, namespace string
	options           Options
	// cached reads what watches brought, live asks the API server.
	cached   client.Client
	live     client.Reader
	recorder events.EventRecorder
	disksOf  func(ctx context.Context, node string) (map[string]bool, error)
	clock    func() time.Time

	capacityDue time.Time
}

// Add adds the loop. Namespace is that of the release.
func Add(m manager.Manager, driver, namespace string, o Options) error {
	l := &nodeloss{
		driver: driver, namespace: namespace, options: o,
		cached: m.GetClient(), live: m.GetAPIReader(),
		recorder: m.GetEventRecorder("hostdir-controller"),
		clock:    time.Now,
	}
	l.disksOf = l.askPlugin
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{request}
	})
	// Nodes say every few seconds that they live.
	comesOrGoes := predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
	// New volumes are seen when the loop looks anyway; those that it is at work on
	// come at once.
	atWork := predicate.NewPredicateFuncs(func(o client.Object) bool {
		v, ok := o.(*corev1.PersistentVolume)
		return ok && pv.Is(v, driver) && isMarked(v)
	})
	return builder.ControllerManagedBy(m).
		Named("nodeloss").
		WatchesMetadata(&corev1.Node{}, all, builder.WithPredicates(comesOrGoes)).
		Watches(&corev1.PersistentVolume{}, all, builder.WithPredicates(atWork)).
		Complete(l)
}

// request is the only one: whatever comes or goes, the whole cluster is looked at.
var request = reconcile.Request{NamespacedName: types.NamespacedName{Name: "cluster"}}

// every is how often the loop looks.
func (o Options) every() time.Duration {
	return min(max(o.Grace/20, 100*time.Millisecond), 30*time.Second)
}

// Reconcile looks at the whole cluster, and takes one step for each volume that needs
// one.
func (l *nodeloss) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	w, err := l.see(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	p, err := l.plan(ctx, w)
	if err != nil {
		return reconcile.Result{}, err
	}
	p.figures.set()
	wait := l.options.every()
	var failed []error
	for _, s := range p.steps {
		switch err := l.take(ctx, w, s); {
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err) || errors.Is(err, errNotLost):
			// Somebody else wrote first, or the cache is behind.
			wait = min(wait, time.Second)
		case err != nil:
			failed = append(failed, err)
		}
	}
	failed = append(failed, l.cleanCapacity(ctx, w))
	if err := errors.Join(failed...); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// plan decides, and finds out what that needs to know.
func (l *nodeloss) plan(ctx context.Context, w *world) (plan, error) {
	for {
		p := decide(w)
		if p.complete() {
			return p, nil
		}
		if p.needsLedger {
			var err error
			if w.ledger, err = l.readLedger(ctx); err != nil {
				return plan{}, err
			}
		}
		for namespace := range p.needsPods {
			var pods corev1.PodList
			if err := l.live.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
				return plan{}, err
			}
			w.pods[namespace] = pods.Items
		}
		for node := range p.needsDisks {
			disks, err := l.disksOf(ctx, node)
			if err != nil {
				logger(ctx).V(2).Info("the disks of a node are not known", "node", node, "err", err)
			}
			w.disks[node] = disks
		}
	}
}

// see returns what the cache knows.
func (l *nodeloss) see(ctx context.Context) (*world, error) {
	w := &world{
		driver: l.driver, options: l.options, now: l.clock(),
		nodes: map[string]bool{}, claims: map[types.NamespacedName]*corev1.PersistentVolumeClaim{},
		pods: map[string][]corev1.Pod{}, disks: map[string]map[string]bool{},
	}
	nodes := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	if err := l.cached.List(ctx, nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	w.nodeCount = len(nodes.Items)
	for i := range nodes.Items {
		n := &nodes.Items[i]
		w.nodes[n.Name] = true
		// The plugin shortens names that are too long for a label.
		if label := n.Labels[l.driver+"/node"]; label != "" {
			w.nodes[label] = true
		}
	}
	// Nothing here writes into what the cache has.
	var volumes corev1.PersistentVolumeList
	if err := l.cached.List(ctx, &volumes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	for i := range volumes.Items {
		if v := &volumes.Items[i]; pv.Is(v, l.driver) {
			w.volumes = append(w.volumes, v)
		}
	}
	var claims corev1.PersistentVolumeClaimList
	if err := l.cached.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	for i := range claims.Items {
		w.claims[client.ObjectKeyFromObject(&claims.Items[i])] = &claims.Items[i]
	}
	return w, nil
}
