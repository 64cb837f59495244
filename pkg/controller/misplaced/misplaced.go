// Package misplaced evicts pods that were placed away from their volumes and cannot start,
// so that their owner makes them anew.
//
// The scheduler chooses a node for a pod whose claim is not bound yet, and does not look
// again if the claim is bound in the meantime, to a volume that was there before (kube-
// scheduler's VolumeBinding plugin, AssumePodVolumes). Kubelet refuses such a pod its
// volume for ever: "MountVolume.NodeAffinity check failed".
package misplaced

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hostdir/hostdir/pkg/controller/notice"
	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Options are what the loop is told by flags.
type Options struct {
	// Evict is whether pods are evicted at all.
	Evict bool
}

// AddFlags adds the flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.Evict, "evict-misplaced-pods", true, "evict pods of StatefulSets and ReplicaSets that cannot start, since they were placed away from their volume")
}

// again is when a pod is looked at again whose claims are not all known to be bound.
const again = 5 * time.Second

type loop struct {
	driver string
	// pods are those that have a node and do not run yet, cached is all else that
	// watches brought. live asks the API server.
	pods, live client.Reader
	cached     client.Client
	teller     notice.Teller
	clock      func() time.Time

	mu     sync.Mutex // guards pauses
	pauses pauses
}

// Add adds the loop, which does nothing unless the options say so.
func Add(m manager.Manager, driver string, o Options) error {
	if !o.Evict {
		return nil
	}
	starting := fields.AndSelectors(
		fields.OneTermEqualSelector("status.phase", string(corev1.PodPending)),
		fields.OneTermNotEqualSelector("spec.nodeName", ""))
	pods, err := cache.New(m.GetConfig(), cache.Options{
		Scheme: m.GetScheme(), Mapper: m.GetRESTMapper(), HTTPClient: m.GetHTTPClient(),
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Field: starting}},
	})
	if err != nil {
		return err
	}
	if err := m.Add(pods); err != nil {
		return err
	}
	// They are there when the first pod is looked at.
	node := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
	for _, kind := range []client.Object{&corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}, node} {
		if _, err := m.GetCache().GetInformer(context.Background(), kind); err != nil {
			return err
		}
	}
	l := &loop{
		driver: driver, pods: pods, live: m.GetAPIReader(), cached: m.GetClient(), clock: time.Now,
		teller: notice.Teller{Recorder: m.GetEventRecorder("hostdir-controller"), Told: noticed},
	}
	return builder.ControllerManagedBy(m).
		Named("misplaced").
		WatchesRawSource(source.Kind(pods, &corev1.Pod{}, &handler.TypedEnqueueRequestForObject[*corev1.Pod]{})).
		Complete(l)
}

// Reconcile looks at one pod that has a node and does not run yet.
func (l *loop) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	p := &corev1.Pod{}
	if err := l.pods.Get(ctx, r.NamespacedName, p); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !isMadeAnew(p) || hasStarted(p) {
		return reconcile.Result{}, nil
	}
	m, known, err := l.find(ctx, l.cached, p)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case m == nil && !known:
		return reconcile.Result{RequeueAfter: again}, nil
	case m == nil:
		return reconcile.Result{}, nil
	}
	if wait := l.pause(m.claim.UID); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	// The claim may have been made anew, and the watches be behind each other.
	if m, _, err = l.find(ctx, l.live, p); err != nil || m == nil {
		return reconcile.Result{RequeueAfter: again}, err
	}
	// Not if anything about the pod has changed since: it might have started.
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID, ResourceVersion: &p.ResourceVersion}},
	}
	switch err := l.cached.SubResource("eviction").Create(ctx, p, eviction); {
	case apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err):
		return reconcile.Result{RequeueAfter: again}, nil
	case err != nil:
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	l.evicted(m.claim.UID)
	klog.FromContext(ctx).Info("misplaced pod evicted", "pod", klog.KObj(p), "node", p.Spec.NodeName, "claim", m.claim.Name, "volumeNode", m.home)
	l.teller.Tell([]notice.Notice{{
		About: p, Kind: corev1.EventTypeNormal, Reason: "MisplacedPodEvicted", Action: "Evict",
		Text: fmt.Sprintf("the pod was placed on node %s while its claim %s was being bound, and cannot start there: the volume is on node %s. It is made anew", p.Spec.NodeName, m.claim.Name, m.home),
	}})
	return reconcile.Result{}, nil
}

// misplacement is a claim of a pod whose volume is on another node than the pod.
type misplacement struct {
	claim *corev1.PersistentVolumeClaim
	home  string // the node that has the volume
}

// find returns the first claim of a pod whose volume is elsewhere, nil if there is none.
// known is whether all of its claims are bound as far as the reader knows.
func (l *loop) find(ctx context.Context, from client.Reader, p *corev1.Pod) (m *misplacement, known bool, err error) {
	node := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
	if err := from.Get(ctx, types.NamespacedName{Name: p.Spec.NodeName}, node); err != nil {
		return nil, false, client.IgnoreNotFound(err)
	}
	here := node.Labels[l.driver+"/node"]
	known = true
	for _, name := range pod.Claims(p) {
		c := &corev1.PersistentVolumeClaim{}
		if err := from.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name}, c); client.IgnoreNotFound(err) != nil {
			return nil, false, err
		}
		if c.Status.Phase != corev1.ClaimBound {
			known = false
			continue
		}
		v := &corev1.PersistentVolume{}
		if err := from.Get(ctx, types.NamespacedName{Name: c.Spec.VolumeName}, v); client.IgnoreNotFound(err) != nil {
			return nil, false, err
		}
		if !pv.Is(v, l.driver) || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != c.UID {
			continue
		}
		// A node without the label may get it back: hostdir is starting there.
		if home := pv.Node(v, l.driver); home != "" && here != "" && home != here {
			return &misplacement{c, home}, true, nil
		}
	}
	return nil, known, nil
}
