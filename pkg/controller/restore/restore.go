// Package restore brings claims that begin as a copy, of a VolumeSnapshot or of another
// claim, to the node that has what is copied. The scheduler cannot know which one that
// is, and tries one after the other, or the same for ever.
//
// It chooses the node as the scheduler does, by the annotation selected-node, but for
// claims without a pod as well, and in place of a node that the scheduler chose. In
// classes with volumeBindingMode Immediate the provisioners of all nodes ask each other
// by that annotation who begins: there it keeps the others from it.
//
// A node without room refuses a claim by taking the annotation away. The scheduler would
// then choose another node, which refuses as well, and so on. So the claim is held, by the
// annotation with no value: the scheduler finds no node for its pods, and no provisioner
// begins. It is sent again after a wait that doubles each time. A claim whose source is not
// ready is held as well: provisioners would try, and warn, and wait too long once it is.
//
// The kinds of snapshots need not exist: they are read when a claim names one, and never
// watched. What to do is decided by one function, from what is there about one claim.
package restore

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hostdir/hostdir/pkg/controller/notice"
)

// workers is how many claims are looked after at once.
const workers = 4

type loop struct {
	driver, namespace string
	// cached reads what watches brought, live asks the API server.
	cached client.Client
	live   client.Reader
	teller notice.Teller

	mu    sync.Mutex // guards pasts
	pasts map[types.NamespacedName]past
}

// Add adds the loop. Namespace is that of the release.
func Add(m manager.Manager, driver, namespace string) error {
	l := &loop{
		driver: driver, namespace: namespace,
		cached: m.GetClient(), live: m.GetAPIReader(),
		teller: notice.Teller{Recorder: m.GetEventRecorder("hostdir-controller"), Told: noticed},
		pasts:  map[types.NamespacedName]past{},
	}
	// They are there when the first claim is looked at.
	node := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
	for _, kind := range []client.Object{&storagev1.StorageClass{}, &corev1.PersistentVolume{}, node} {
		if _, err := m.GetCache().GetInformer(context.Background(), kind); err != nil {
			return err
		}
	}
	if err := m.Add(&labeller{loop: l, writer: m.GetClient()}); err != nil {
		return err
	}
	begins := predicate.NewPredicateFuncs(func(o client.Object) bool {
		c, ok := o.(*corev1.PersistentVolumeClaim)
		kind, _ := sourceOf(c)
		return ok && kind != ""
	})
	return builder.ControllerManagedBy(m).
		Named("restore").
		For(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(begins)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(l)
}

// Reconcile does what there is to do about one claim.
func (l *loop) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	c := &corev1.PersistentVolumeClaim{}
	err := l.cached.Get(ctx, r.NamespacedName, c)
	if err == nil && isUnbound(c) {
		var ours bool
		if ours, err = l.isOurs(ctx, c); err == nil && !ours {
			return reconcile.Result{}, nil
		}
		if err == nil {
			// An answer of its node that came a moment ago would be missed.
			err = l.live.Get(ctx, r.NamespacedName, c)
		}
	}
	if err != nil {
		if apierrors.IsNotFound(err) {
			l.forget(r.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	w := &world{now: time.Now(), claim: c, past: l.pastOf(c)}
	if !isUnbound(c) {
		return l.bound(ctx, w)
	}
	if w.origin, err = l.find(ctx, c); err != nil {
		return reconcile.Result{}, err
	}
	s := decide(w)
	if s.needsRefusal {
		if w.refusal, err = l.askWhy(ctx, c, w.origin.node); err != nil {
			return reconcile.Result{}, err
		}
		s = decide(w)
	}
	if err := l.take(ctx, w, s); err != nil {
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	w.past = s.past
	if s.notice != nil {
		l.teller.Tell([]notice.Notice{*s.notice})
	}
	if w.origin.node != nil && !w.past.since.IsZero() && !w.now.Before(w.past.since.Add(podsAfter)) {
		if err := l.lookAtPods(ctx, w); err != nil {
			return reconcile.Result{}, err
		}
	}
	l.remember(c, w.past)
	return reconcile.Result{RequeueAfter: s.again}, nil
}

// isUnbound reports whether a claim waits for a volume.
func isUnbound(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.VolumeName == "" && c.DeletionTimestamp == nil && (c.Status.Phase == "" || c.Status.Phase == corev1.ClaimPending)
}

// isOurs reports whether the driver is to make the claim's volume.
func (l *loop) isOurs(ctx context.Context, c *corev1.PersistentVolumeClaim) (bool, error) {
	if c.Spec.StorageClassName == nil {
		return false, nil
	}
	class := &storagev1.StorageClass{}
	err := l.cached.Get(ctx, client.ObjectKey{Name: *c.Spec.StorageClassName}, class)
	return err == nil && class.Provisioner == l.driver, client.IgnoreNotFound(err)
}

// bound looks once at the pods of a claim that was sent to a node and has its volume. It
// waits until they are there.
func (l *loop) bound(ctx context.Context, w *world) (reconcile.Result, error) {
	if !w.past.since.IsZero() && !w.past.podsSeen && w.claim.DeletionTimestamp == nil {
		if wait := w.past.since.Add(podsAfter).Sub(w.now); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		var err error
		if w.origin, err = l.find(ctx, w.claim); err != nil {
			return reconcile.Result{}, err
		}
		if w.origin.node != nil {
			if err := l.lookAtPods(ctx, w); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	l.forget(client.ObjectKeyFromObject(w.claim))
	return reconcile.Result{}, nil
}

// take writes a step, against the version of the claim that was decided on.
func (l *loop) take(ctx context.Context, w *world, s step) error {
	if s.do == nothing {
		return nil
	}
	node := ""
	if s.do != hold {
		node = w.origin.node.Name
	}
	if err := l.choose(ctx, w.claim, node); err != nil {
		return err
	}
	steps.WithLabelValues(s.do.String()).Inc()
	klog.FromContext(ctx).V(2).Info("restore", "step", s.do.String(), "claim", klog.KObj(w.claim), "source", w.origin.what, "node", w.origin.nodeName, "refusals", s.past.refusals)
	return nil
}

func (l *loop) choose(ctx context.Context, c *corev1.PersistentVolumeClaim, node string) error {
	patch := client.MergeFromWithOptions(c.DeepCopy(), client.MergeFromWithOptimisticLock{})
	metav1.SetMetaDataAnnotation(&c.ObjectMeta, selectedNode, node)
	return l.cached.Patch(ctx, c, patch)
}

// lookAtPods tells the pods of a claim that cannot run where its data is.
func (l *loop) lookAtPods(ctx context.Context, w *world) error {
	var pods corev1.PodList
	if err := l.live.List(ctx, &pods, client.InNamespace(w.claim.Namespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		uses, others := false, []place(nil)
		for _, name := range claimsOf(p) {
			if name == w.claim.Name {
				uses = true
				continue
			}
			other, err := l.placeOf(ctx, client.ObjectKey{Namespace: p.Namespace, Name: name})
			if err != nil {
				return err
			}
			others = append(others, other)
		}
		if !uses {
			continue
		}
		if why := whyNot(p, w.origin.node, others); len(why) > 0 {
			l.teller.Tell([]notice.Notice{w.tied(p, why)})
		}
	}
	w.past.podsSeen = true
	return nil
}

// placeOf returns where a claim is tied to; nothing of one that there is not.
func (l *loop) placeOf(ctx context.Context, claim client.ObjectKey) (place, error) {
	c := &corev1.PersistentVolumeClaim{}
	if err := l.cached.Get(ctx, claim, c); err != nil {
		return place{}, client.IgnoreNotFound(err)
	}
	at := place{claim: c.Name}
	if c.Spec.VolumeName == "" {
		if kind, _ := sourceOf(c); kind != "" {
			at.node = c.Annotations[selectedNode]
		}
		return at, nil
	}
	v := &corev1.PersistentVolume{}
	if err := l.cached.Get(ctx, client.ObjectKey{Name: c.Spec.VolumeName}, v); err != nil {
		return place{}, client.IgnoreNotFound(err)
	}
	at.volume = v
	return at, nil
}

// pastOf returns what was done about a claim; nothing of an older one of its name.
func (l *loop) pastOf(c *corev1.PersistentVolumeClaim) past {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pasts[client.ObjectKeyFromObject(c)]; p.uid == c.UID {
		return p
	}
	return past{uid: c.UID}
}

func (l *loop) remember(c *corev1.PersistentVolumeClaim, p past) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pasts[client.ObjectKeyFromObject(c)] = p
	l.count()
}

func (l *loop) forget(claim types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pasts, claim)
	l.count()
}

// count sets the figure of the claims that are refused; mu is held.
func (l *loop) count() {
	n := 0
	for _, p := range l.pasts {
		if p.refusals > 1 {
			n++
		}
	}
	held.Set(float64(n))
}
