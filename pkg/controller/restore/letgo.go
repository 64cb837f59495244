package restore

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LetGo leaves the claims that are held to the scheduler, for the time when this loop is
// not there. No loop may run.
func LetGo(ctx context.Context, c client.Client, driver string) error {
	var classes storagev1.StorageClassList
	if err := c.List(ctx, &classes); err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, class := range classes.Items {
		ours[class.Name] = class.Provisioner == driver
	}
	var claims corev1.PersistentVolumeClaimList
	if err := c.List(ctx, &claims); err != nil {
		return err
	}
	var failed []error
	for i := range claims.Items {
		claim := &claims.Items[i]
		node, set := claim.Annotations[selectedNode]
		kind, _ := sourceOf(claim)
		if !set || node != "" || kind == "" || !isUnbound(claim) || claim.Spec.StorageClassName == nil || !ours[*claim.Spec.StorageClassName] {
			continue
		}
		klog.FromContext(ctx).Info("claim is held no more", "claim", klog.KObj(claim))
		patch := client.MergeFromWithOptions(claim.DeepCopy(), client.MergeFromWithOptimisticLock{})
		delete(claim.Annotations, selectedNode)
		failed = append(failed, client.IgnoreNotFound(c.Patch(ctx, claim, patch)))
	}
	return errors.Join(failed...)
}
