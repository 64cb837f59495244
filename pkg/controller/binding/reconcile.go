package binding

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type (
	request = reconcile.Request
	queue   = workqueue.TypedRateLimitingInterface[request]
)

// Reconcile binds the claim of a volume, if the binder would and has not begun.
func (l *loop) Reconcile(ctx context.Context, r request) (reconcile.Result, error) {
	v := &corev1.PersistentVolume{}
	if err := l.cached.Get(ctx, r.NamespacedName, v); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	why := whyNotVolume(v, l.driver)
	if why != "" {
		return l.leave(ctx, v, why)
	}
	c, err := l.claimOf(ctx, v)
	switch {
	case apierrors.IsNotFound(err):
		return l.leave(ctx, v, "its claim is gone")
	case err != nil:
		return reconcile.Result{}, err
	}
	if why = whyNot(v, c); why != "" {
		return l.leave(ctx, v, why)
	}
	var all corev1.PersistentVolumeList
	if err := l.cached.List(ctx, &all, client.MatchingFields{claimIndex: c.Namespace + "/" + c.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, err
	}
	if hasRival(v, c, all.Items) {
		return l.leave(ctx, v, "the claim may have another volume")
	}
	if !l.binder.hasSeen(v) {
		l.binder.await(v)
		return reconcile.Result{}, nil
	}
	why, err = l.bind(ctx, v, c)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case why != "":
		return l.leave(ctx, v, why)
	}
	took := l.seen.since(v)
	bindingSeconds.Observe(took.Seconds())
	klog.FromContext(ctx).V(2).Info("claim bound", "claim", klog.KObj(c), "volume", v.Name, "took", took)
	l.seen.forget(v.Name)
	return reconcile.Result{}, nil
}

func (l *loop) leave(ctx context.Context, v *corev1.PersistentVolume, why string) (reconcile.Result, error) {
	klog.FromContext(ctx).V(4).Info("left to kube-controller-manager", "volume", v.Name, "reason", why)
	l.seen.forget(v.Name)
	return reconcile.Result{}, nil
}

// claimOf returns the claim that a volume was made for. The claims' watch may be
// behind that of the volumes, so a claim that is not there, or is another of its
// name, is asked for.
func (l *loop) claimOf(ctx context.Context, v *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, error) {
	c := &corev1.PersistentVolumeClaim{}
	key := client.ObjectKey{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name}
	err := l.cached.Get(ctx, key, c)
	if apierrors.IsNotFound(err) || err == nil && c.UID != v.Spec.ClaimRef.UID {
		err = l.client.Get(ctx, key, c)
	}
	return c, err
}
