package binding

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Annotations of kube-controller-manager's binder.
const (
	bindCompleted     = "pv.kubernetes.io/bind-completed"
	boundByController = "pv.kubernetes.io/bound-by-controller"
	// preResizeCapacity is of a volume that grew while it had no claim: the binder
	// then records another capacity.
	preResizeCapacity = "volume.alpha.kubernetes.io/pre-resize-capacity"
	// betaClass is the class in claims and volumes of old.
	betaClass = "volume.beta.kubernetes.io/storage-class"
)

// whyNotVolume returns why a volume is none that is to be bound here, "" if it is
// one: our provisioner made it for a certain claim, and nothing was done with it.
func whyNotVolume(v *corev1.PersistentVolume, driver string) string {
	_, begun := v.Annotations[boundByController]
	_, grew := v.Annotations[preResizeCapacity]
	_, sized := v.Spec.Capacity[corev1.ResourceStorage]
	switch {
	case !pv.IsProvisioned(v, driver):
		return "hostdir's provisioner did not make it"
	case v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID == "":
		return "it is made for no certain claim"
	case v.DeletionTimestamp != nil:
		return "it is being deleted"
	case v.Status.Phase != "" && v.Status.Phase != corev1.VolumePending:
		return "its phase is " + string(v.Status.Phase)
	case begun:
		return "somebody has begun"
	case grew:
		return "it grew without a claim"
	case !sized:
		return "it has no capacity"
	}
	return ""
}

// whyNot returns why a claim is not to be bound to a volume here, "" if it is: the
// binder would find this volume for it, and nobody has begun.
func whyNot(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) string {
	ref := v.Spec.ClaimRef
	_, completed := c.Annotations[bindCompleted]
	asked, has := c.Spec.Resources.Requests[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
	switch {
	case ref.UID != c.UID || ref.Name != c.Name || ref.Namespace != c.Namespace:
		return "it is another claim of that name"
	case c.DeletionTimestamp != nil:
		return "the claim is being deleted"
	case c.Spec.VolumeName != "" || completed:
		return "the claim was bound by somebody else"
	case c.Status.Phase != "" && c.Status.Phase != corev1.ClaimPending:
		return "the claim's phase is " + string(c.Status.Phase)
	case has.Cmp(asked) < 0:
		return "the claim asks for more"
	case deref(c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem) != deref(v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem):
		return "the claim asks for another volumeMode"
	case deref(c.Spec.VolumeAttributesClassName, "") != deref(v.Spec.VolumeAttributesClassName, ""):
		return "the claim asks for another VolumeAttributesClass"
	case classOf(c.Annotations, deref(c.Spec.StorageClassName, "")) != classOf(v.Annotations, v.Spec.StorageClassName):
		return "the claim asks for another class"
	case slices.ContainsFunc(c.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool { return !slices.Contains(v.Spec.AccessModes, m) }):
		return "the claim asks for other access modes"
	}
	return ""
}

func deref[T any](p *T, none T) T {
	if p == nil {
		return none
	}
	return *p
}

func classOf(annotations map[string]string, class string) string {
	if beta, ok := annotations[betaClass]; ok {
		return beta
	}
	return class
}

// hasRival reports whether another volume waits for the claim, by its UID or only by
// its name. The binder picks one of them; which one is its own business.
func hasRival(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim, all []corev1.PersistentVolume) bool {
	return slices.ContainsFunc(all, func(other corev1.PersistentVolume) bool {
		ref := other.Spec.ClaimRef
		return other.Name != v.Name && ref != nil && ref.Namespace == c.Namespace && ref.Name == c.Name && (ref.UID == "" || ref.UID == c.UID)
	})
}
