package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// A claim names its PersistentVolume for ever, and a PersistentVolume its source. So the
// one is replaced by another of the same name. In between the claim is Lost, and its pods
// wait; it is Bound again once there is one whose claimRef has its UID.

// importedFrom is the annotation of a PersistentVolume that was imported.
const importedFrom = "csi.hostdir.io/imported-from"

// newVolume is the PersistentVolume of hostdir in place of the old one.
func newVolume(old *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim, i admin.Import) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: old.Name, Labels: old.Labels, Annotations: map[string]string{
		importedFrom:                      i.Source,
		"pv.kubernetes.io/provisioned-by": i.Driver,
	}}}
	for key, value := range old.Annotations {
		if !strings.Contains(key, "kubernetes.io/") {
			v.Annotations[key] = value
		}
	}
	v.Spec = corev1.PersistentVolumeSpec{
		Capacity:                      old.Spec.Capacity,
		AccessModes:                   old.Spec.AccessModes,
		VolumeMode:                    old.Spec.VolumeMode,
		StorageClassName:              old.Spec.StorageClassName,
		MountOptions:                  i.MountOptions,
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		ClaimRef:                      refTo(claim),
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
			Driver: i.Driver, VolumeHandle: i.ID, VolumeAttributes: i.Attributes,
		}},
		NodeAffinity: pv.Affinity(i.NodeLabels),
	}
	return v
}

func refTo(claim *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID}
}

// asBefore is the old PersistentVolume, to be made again.
func asBefore(old *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: old.Name, Labels: old.Labels, Annotations: old.Annotations}, Spec: *old.Spec.DeepCopy()}
	v.Spec.ClaimRef = refTo(claim)
	return v
}

// isThat reports whether a PersistentVolume shows what another one does.
func isThat(v, want *corev1.PersistentVolume) bool {
	if want.Spec.CSI != nil {
		return v.Spec.CSI != nil && v.Spec.CSI.VolumeHandle == want.Spec.CSI.VolumeHandle && v.Spec.CSI.Driver == want.Spec.CSI.Driver
	}
	return source(v) != "" && source(v) == source(want)
}

// policyBefore is the annotation of a PersistentVolume that is imported: the reclaim policy
// that it had, and has again when that is undone.
const policyBefore = "csi.hostdir.io/reclaim-policy-before"

// keepData lets nobody remove what the old PersistentVolume shows.
func (im *importer) keepData(ctx context.Context, v *corev1.PersistentVolume) error {
	if v == nil || v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
		return nil
	}
	return im.setPolicy(ctx, v, corev1.PersistentVolumeReclaimRetain, v.Spec.PersistentVolumeReclaimPolicy)
}

// letGo gives it the policy back that it had.
func (im *importer) letGo(ctx context.Context, v *corev1.PersistentVolume) error {
	if was := withPolicyBefore(v); was != v {
		return im.setPolicy(ctx, v, was.Spec.PersistentVolumeReclaimPolicy, nil)
	}
	return nil
}

// setPolicy notes what the policy was, or with nil that nothing needs to be noted any more.
func (im *importer) setPolicy(ctx context.Context, v *corev1.PersistentVolume, policy corev1.PersistentVolumeReclaimPolicy, before any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{policyBefore: before}},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": policy},
	})
	if err != nil {
		return err
	}
	_, err = im.clients.CoreV1().PersistentVolumes().Patch(ctx, v.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// withPolicyBefore is a PersistentVolume as it was before keepData.
func withPolicyBefore(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	policy, changed := v.Annotations[policyBefore]
	if !changed {
		return v
	}
	v = v.DeepCopy()
	delete(v.Annotations, policyBefore)
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimPolicy(policy)
	return v
}

// takeAway deletes a PersistentVolume unless it is the one that is wanted, or none. What
// it shows stays.
func (im *importer) takeAway(ctx context.Context, name string, want *corev1.PersistentVolume) error {
	volumes := im.clients.CoreV1().PersistentVolumes()
	return wait.PollUntilContextTimeout(ctx, swapPoll, swapPatience, true, func(ctx context.Context) (done bool, err error) {
		v, err := im.volume(ctx, name)
		if err != nil || v == nil || isThat(v, want) && v.DeletionTimestamp == nil {
			return err == nil, err
		}
		if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			return false, im.keepData(ctx, v)
		}
		if v.DeletionTimestamp == nil {
			err := volumes.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &v.UID, ResourceVersion: &v.ResourceVersion}})
			return false, unlessMoved(err)
		}
		left := slices.DeleteFunc(slices.Clone(v.Finalizers), func(f string) bool { return slices.Contains(pv.Protections, f) })
		if len(left) == len(v.Finalizers) {
			return false, nil // somebody else's: it is waited for
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": left, "uid": v.UID, "resourceVersion": v.ResourceVersion}})
		if err != nil {
			return false, err
		}
		_, err = volumes.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return false, unlessMoved(err)
	})
}

const (
	swapPoll     = 50 * time.Millisecond
	swapAgain    = time.Second
	swapPatience = time.Minute
)

// unlessMoved leaves out errors that say that the object is another one by now.
func unlessMoved(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// replace puts a PersistentVolume in place of the one of its name.
func (im *importer) replace(ctx context.Context, want *corev1.PersistentVolume) error {
	if err := im.takeAway(ctx, want.Name, want); err != nil {
		return fmt.Errorf("PersistentVolume %s could not be replaced: %w", want.Name, err)
	}
	_, err := im.clients.CoreV1().PersistentVolumes().Create(ctx, want, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var there *corev1.PersistentVolume
		switch there, err = im.volume(ctx, want.Name); {
		case err == nil && (there == nil || !isThat(there, want)):
			err = fmt.Errorf("somebody else has made another one of that name")
		case err == nil: // undone before it was replaced, it is still kept
			err = im.letGo(ctx, there)
		}
	}
	if err != nil {
		return fmt.Errorf("PersistentVolume %s could not be made again, its claim waits for it; the same command goes on: %w", want.Name, err)
	}
	return nil
}

// awaitBound waits until the claim is bound again. kube-controller-manager looks at a Lost
// claim when that is changed, and otherwise every 15 seconds only: the claim is told again
// and again what it waits for.
func (im *importer) awaitBound(ctx context.Context, claim *corev1.PersistentVolumeClaim, doing string) error {
	told, times := time.Time{}, 0
	err := wait.PollUntilContextTimeout(ctx, swapPoll, swapPatience, true, func(ctx context.Context) (bool, error) {
		now, err := im.clients.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(ctx, claim.Name, metav1.GetOptions{})
		if err != nil || now.Status.Phase == corev1.ClaimBound {
			return err == nil, err
		}
		if time.Since(told) < swapAgain {
			return false, nil
		}
		told, times = time.Now(), times+1
		return false, im.mark(ctx, claim, fmt.Sprintf("%s: its PersistentVolume is there and the claim is to be bound (asked for %d times)", doing, times))
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("claim %s/%s is not Bound yet, although its volume is there: does kube-controller-manager run?", claim.Namespace, claim.Name)
	}
	return err
}
