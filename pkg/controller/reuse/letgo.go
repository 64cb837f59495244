package reuse

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LetGo takes the finalizer off all claims, and makes all reservations nobody's, for the
// time when neither this loop nor the admission policy are there. Loops that start later
// hold the claims again, and reserve again what the same namespaces had. No loop may run.
func LetGo(ctx context.Context, c client.Client, driver string) error {
	var claims corev1.PersistentVolumeClaimList
	if err := c.List(ctx, &claims); err != nil {
		return err
	}
	var failed []error
	for i := range claims.Items {
		claim := &claims.Items[i]
		if !slices.Contains(claim.Finalizers, Finalizer) {
			continue
		}
		klog.FromContext(ctx).Info("claim is let go", "claim", klog.KObj(claim))
		failed = append(failed, letGoOf(ctx, c, claim))
	}
	var volumes corev1.PersistentVolumeList
	if err := c.List(ctx, &volumes); err != nil {
		return errors.Join(append(failed, err)...)
	}
	r := &reuse{driver: driver}
	for i := range volumes.Items {
		v := &volumes.Items[i]
		if _, ok := twinOf(v); !ok || !r.isKept(v) || v.Spec.ClaimRef.UID != "" {
			continue
		}
		klog.FromContext(ctx).Info("volume is reserved no more", "volume", v.Name, "for", claimOf(v))
		_, err := setClaim(ctx, c, v, claimOf(v).Name, v.UID)
		failed = append(failed, client.IgnoreNotFound(err))
	}
	return errors.Join(failed...)
}
