package binding

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// writer makes the binder's writes. Each names the version it is for, and is a patch:
// an update would take away fields of a newer API that this program does not know.
type writer struct {
	client client.Client
	driver string
	limit  flowcontrol.RateLimiter
}

// bind makes the binder's three writes. It returns why it stopped, if somebody else
// came in between: the binder goes on from there.
//
// They are one after the other. A volume is held by Kubernetes' own finalizer from
// the moment that its phase is Bound: with the claim written at the same time, a
// person who deletes the volume in between would leave a claim that is Lost.
func (w *writer) bind(ctx context.Context, v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) (why string, err error) {
	for _, step := range []func(context.Context, *corev1.PersistentVolume, *corev1.PersistentVolumeClaim) (string, error){
		w.bindVolume, w.bindClaim, w.finishClaim,
	} {
		if why, err := step(ctx, v, c); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

func (w *writer) bindVolume(ctx context.Context, v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) (string, error) {
	return w.write(ctx, v, func() string { return whyNotVolume(v, w.driver) }, func() client.Patch {
		patch := client.MergeFromWithOptions(v.DeepCopy(), client.MergeFromWithOptimisticLock{})
		v.Status.Phase, v.Status.Message = corev1.VolumeBound, ""
		return patch
	}, func(patch client.Patch) error { return w.client.Status().Patch(ctx, v, patch) })
}

func (w *writer) bindClaim(ctx context.Context, v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) (string, error) {
	return w.write(ctx, c, func() string { return whyNot(v, c) }, func() client.Patch {
		patch := client.MergeFromWithOptions(c.DeepCopy(), client.MergeFromWithOptimisticLock{})
		c.Spec.VolumeName = v.Name
		metav1.SetMetaDataAnnotation(&c.ObjectMeta, bindCompleted, "yes")
		if !metav1.HasAnnotation(c.ObjectMeta, boundByController) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, boundByController, "yes")
		}
		return patch
	}, func(patch client.Patch) error { return w.client.Patch(ctx, c, patch) })
}

func (w *writer) finishClaim(ctx context.Context, v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) (string, error) {
	return w.write(ctx, c, func() string { return whyNotFinish(v, c) }, func() client.Patch {
		patch := client.MergeFromWithOptions(c.DeepCopy(), client.MergeFromWithOptimisticLock{})
		c.Status.Phase = corev1.ClaimBound
		c.Status.AccessModes = v.Spec.AccessModes
		c.Status.Capacity = v.Spec.Capacity
		c.Status.CurrentVolumeAttributesClassName = v.Spec.VolumeAttributesClassName
		return patch
	}, func(patch client.Patch) error { return w.client.Status().Patch(ctx, c, patch) })
}

// whyNotFinish returns why the claim's status is not to be written.
func whyNotFinish(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) string {
	switch {
	case c.UID != v.Spec.ClaimRef.UID || c.Spec.VolumeName != v.Name:
		return "the claim is another by now"
	case c.Status.Phase != "" && c.Status.Phase != corev1.ClaimPending:
		return "the claim's phase is " + string(c.Status.Phase)
	}
	return ""
}

// attempts is how often a write is tried that others come in between.
const attempts = 3

// write changes an object and sends that, unless whyNot tells why not. On a conflict
// the object is read again, from the API server.
func (w *writer) write(ctx context.Context, o client.Object, whyNot func() string, change func() client.Patch, send func(client.Patch) error) (string, error) {
	for range attempts {
		if why := whyNot(); why != "" {
			return why, nil
		}
		if err := w.limit.Wait(ctx); err != nil {
			return "", err
		}
		err := send(change())
		switch {
		case err == nil:
			return "", nil
		case apierrors.IsNotFound(err):
			return "it is gone", nil
		case !apierrors.IsConflict(err):
			return "", err
		}
		bindingConflicts.Inc()
		if err := w.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			if apierrors.IsNotFound(err) {
				return "it is gone", nil
			}
			return "", err
		}
	}
	return "others write it all the time", nil
}
