// Package reuse keeps the volume of a deleted claim for the claim of the same name, in
// classes with `reuse: same-claim` and reclaimPolicy Retain.
//
// Kubernetes binds no Released volume again, and it is right not to: who makes a claim of
// that name may be somebody else. So a claim is held by a finalizer until its volume is
// reserved: by a twin, a PersistentVolume of the same directory whose claimRef names the
// claim, without UID. Only then is the name free. The twin's own name says for which
// namespace it is, by UID; an admission policy refuses it to claims of any other, also
// while nothing of this runs. When the old claim is gone, so is the old PersistentVolume.
// No data is touched.
//
// What to do is decided by one function, from what is there about one claim's name. After
// a crash between any two writes the next one goes on.
package reuse

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/notice"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

const (
	pvcProtection = "kubernetes.io/pvc-protection"
	selectedNode  = "volume.kubernetes.io/selected-node"
)

// Indexes of PersistentVolumes that are kept for claims.
const (
	byClaim     = "reuse.claim"
	byNamespace = "reuse.namespace"
)

// maxSteps is more than there can be to do about one name, unless something goes round
// in circles.
const maxSteps = 50

// workers is how many claims are looked after at once.
const workers = 4

type reuse struct {
	driver string
	// cached reads what watches brought, live asks the API server.
	cached client.Client
	live   client.Reader
	teller notice.Teller

	mu     sync.Mutex
	parked map[types.UID]time.Time
}

// Add adds the loop.
func Add(m manager.Manager, driver string) error {
	r := &reuse{
		driver: driver,
		cached: m.GetClient(),
		live:   m.GetAPIReader(),
		teller: notice.Teller{Recorder: m.GetEventRecorder("hostdir-controller"), Told: noticed},
		parked: map[types.UID]time.Time{},
	}
	for name, value := range map[string]func(types.NamespacedName) string{
		byClaim:     types.NamespacedName.String,
		byNamespace: func(n types.NamespacedName) string { return n.Namespace },
	} {
		index := func(o client.Object) []string {
			if !r.isKept(o) {
				return nil
			}
			return []string{value(claimOf(o.(*corev1.PersistentVolume)))}
		}
		if err := m.GetFieldIndexer().IndexField(context.Background(), &corev1.PersistentVolume{}, name, index); err != nil {
			return err
		}
	}
	return builder.ControllerManagedBy(m).
		Named("reuse").
		For(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.PersistentVolume{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: claimOf(o.(*corev1.PersistentVolume))}}
		}), builder.WithPredicates(predicate.NewPredicateFuncs(r.isKept))).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.claimsIn)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// isKept reports whether a PersistentVolume is one for this loop.
func (r *reuse) isKept(o client.Object) bool {
	v, ok := o.(*corev1.PersistentVolume)
	return ok && pv.Is(v, r.driver) && pv.Reuse(v) == config.ReuseSameClaim && v.Spec.ClaimRef != nil && !pv.GivenUp(v)
}

// claimsIn returns the claims of a namespace that have volumes, whether they exist or
// not.
func (r *reuse) claimsIn(ctx context.Context, namespace client.Object) (requests []reconcile.Request) {
	var all corev1.PersistentVolumeList
	if err := r.cached.List(ctx, &all, client.MatchingFields{byNamespace: namespace.GetName()}); err != nil {
		return nil // the cache has the index
	}
	for i := range all.Items {
		request := reconcile.Request{NamespacedName: claimOf(&all.Items[i])}
		if !slices.Contains(requests, request) {
			requests = append(requests, request)
		}
	}
	return requests
}

// Reconcile does all that there is to do about the claims of one name.
func (r *reuse) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	w, err := r.see(ctx, request.NamespacedName)
	if err != nil || len(w.volumes) == 0 && (w.claim == nil || !slices.Contains(w.claim.Finalizers, Finalizer)) {
		return reconcile.Result{}, err
	}
	for range maxSteps {
		s, notices := decide(w)
		r.teller.Tell(notices)
		if s.do == nothing {
			return reconcile.Result{}, nil
		}
		wait, err := r.take(ctx, w, s)
		switch {
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			// Somebody else wrote first, and what that was comes by the watch.
			return reconcile.Result{RequeueAfter: 200 * time.Millisecond}, nil
		case err != nil || wait > 0:
			return reconcile.Result{RequeueAfter: wait}, err
		}
	}
	return reconcile.Result{}, fmt.Errorf("claim %s: after %d steps there still is something to do", request.NamespacedName, maxSteps)
}

// see returns what the cache knows.
func (r *reuse) see(ctx context.Context, key types.NamespacedName) (*world, error) {
	w := &world{key: key}
	var all corev1.PersistentVolumeList
	if err := r.cached.List(ctx, &all, client.MatchingFields{byClaim: key.String()}); err != nil {
		return nil, err
	}
	for i := range all.Items {
		w.volumes = append(w.volumes, &all.Items[i])
	}
	var err error
	if w.namespace, err = getNamespace(ctx, r.cached, key.Namespace); err != nil {
		return nil, err
	}
	w.claim, err = getClaim(ctx, r.cached, key)
	return w, err
}

// look asks the API server for all that, the namespace first (see world.live).
func (r *reuse) look(ctx context.Context, w *world) (err error) {
	if w.namespace, err = getNamespace(ctx, r.live, w.key.Namespace); err != nil {
		return err
	}
	if w.claim, err = getClaim(ctx, r.live, w.key); err != nil {
		return err
	}
	var names []string
	for _, v := range w.volumes {
		names = append(names, v.Name)
	}
	if w.claim != nil && w.claim.Spec.VolumeName != "" && !slices.Contains(names, w.claim.Spec.VolumeName) {
		names = append(names, w.claim.Spec.VolumeName)
	}
	w.volumes = nil
	for _, name := range names {
		v := &corev1.PersistentVolume{}
		err := r.live.Get(ctx, types.NamespacedName{Name: name}, v)
		if err == nil && r.isKept(v) && claimOf(v) == w.key {
			w.volumes = append(w.volumes, v)
		} else if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if w.guarded, err = isGuarded(ctx, r.live); err != nil {
		return err
	}
	w.live = true
	return nil
}

func getNamespace(ctx context.Context, c client.Reader, name string) (*namespace, error) {
	n := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	if err := c.Get(ctx, types.NamespacedName{Name: name}, n); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return &namespace{n.UID, n.ResourceVersion, n.DeletionTimestamp != nil}, nil
}

func getClaim(ctx context.Context, c client.Reader, key types.NamespacedName) (*corev1.PersistentVolumeClaim, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := c.Get(ctx, key, claim); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return claim, nil
}

// isGuarded reports whether the admission policy is there, and in force.
func isGuarded(ctx context.Context, c client.Reader) (bool, error) {
	for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: kind})
		if err := c.Get(ctx, types.NamespacedName{Name: PolicyName}, o); err != nil {
			if meta.IsNoMatchError(err) { // before Kubernetes 1.30
				return false, nil
			}
			return false, client.IgnoreNotFound(err)
		}
		if o.DeletionTimestamp != nil {
			return false, nil
		}
	}
	return true, nil
}

// take does a step, and brings the world up to date with it. It may have to wait.
func (r *reuse) take(ctx context.Context, w *world, s step) (wait time.Duration, err error) {
	switch s.do {
	case look:
		return 0, r.look(ctx, w)
	case hold:
		err = r.hold(ctx, w)
	case letGo:
		err = letGoOf(ctx, r.cached, w.claim)
		if !slices.ContainsFunc(w.claim.Finalizers, func(f string) bool { return f != Finalizer }) {
			w.claim = nil
		}
	case reserve:
		err = r.reserve(ctx, w, s.volume)
	case again:
		err = r.rename(ctx, w, s.volume, w.key.Name, "")
	case release:
		if wait := r.settles(s.volume); wait > 0 {
			return wait, nil
		}
		err = r.rename(ctx, w, s.volume, w.key.Name, s.volume.UID)
	case park:
		err = r.rename(ctx, w, s.volume, parked+w.key.Name, "")
	case remove:
		err = r.remove(ctx, w, s)
	default:
		return 0, fmt.Errorf("unknown action %d", s.do)
	}
	if err == nil {
		written.WithLabelValues(s.do.String()).Inc()
	}
	return 0, err
}

func (a action) String() string {
	return [...]string{"nothing", "look", "hold", "let-go", "reserve", "reserve", "release", "park", "remove"}[a]
}
