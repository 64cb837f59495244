package reuse

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func keyOf(o client.Object) types.NamespacedName { return client.ObjectKeyFromObject(o) }

// retentionPolicies deletes a StatefulSet that deletes its claims, and scales it down.
func retentionPolicies(t *tenant) {
	replicas := int32(2)
	labels := map[string]string{"set": "web"}
	claim := newClaim("", "www")
	spec := podSpec("")
	spec.Volumes = nil
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "www", MountPath: "/www"}}
	set := func() *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: meta(t.namespace, "web"), Spec: appsv1.StatefulSetSpec{
			Replicas:            &replicas,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: labels},
			Template:            corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{*claim},
		}}
	}
	names := []string{"www-web-0", "www-web-1"}
	handles := func() map[string]string {
		found := map[string]string{}
		for _, name := range names {
			found[name] = t.held(name).Spec.CSI.VolumeHandle
			// Without an owner the claim would outlive the set.
			t.eventually("claim "+name+" has an owner", func() error {
				claim, err := t.claim(name)
				if err != nil || len(claim.OwnerReferences) == 0 {
					return fmt.Errorf("it has none (%v)", err)
				}
				return nil
			})
		}
		return found
	}
	claimsGo := func() {
		for _, name := range names {
			t.claimGoes(name)
		}
	}
	t.check(t.Create(t.Context(), set()))
	before := handles()
	for range 2 {
		t.check(t.Delete(t.Context(), set()))
		claimsGo()
		t.check(t.Create(t.Context(), set()))
		if after := handles(); !maps.Equal(before, after) {
			t.Fatalf("the set was deleted and made again; its volumes were %v and are %v", before, after)
		}
	}
	scale := func(n int) {
		t.check(t.Patch(t.Context(), set(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))))
	}
	scale(0)
	claimsGo()
	scale(2)
	if after := handles(); !maps.Equal(before, after) {
		t.Fatalf("the set was scaled to 0 and back; its volumes were %v and are %v", before, after)
	}
}

// tenantWritesVolume claims a volume by its name, in its namespace and from another one.
func tenantWritesVolume(t *tenant) {
	t.makeClaim("data")
	t.makePod("data")
	handle := t.held("data").Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	kept := t.settles(handle, corev1.VolumeAvailable)
	named := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = kept.Name }

	if err := t.Create(t.Context(), newClaim("default", "data", named)); !apierrors.IsForbidden(err) {
		t.Errorf("a claim of another namespace that names the volume: %v", err)
	}
	t.check(t.Create(t.Context(), newClaim("default", "later")))
	defer t.Delete(t.Context(), newClaim("default", "later"))
	err := t.Patch(t.Context(), newClaim("default", "later"), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"volumeName":%q}}`, kept.Name)))
	if !apierrors.IsForbidden(err) {
		t.Errorf("a claim of another namespace that is changed to name the volume: %v", err)
	}
	t.makeClaim("data", named)
	if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
		t.Errorf("the claim that names its volume got %s", say(v))
	}
	// What is bound can be changed and deleted.
	t.check(t.Patch(t.Context(), newClaim(t.namespace, "data"), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))))
}

// twoVolumes has two volumes for one name: the one that the claim had last is kept.
func twoVolumes(t *tenant) {
	t.makeClaim("data")
	t.makePod("data")
	first := t.held("data")
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	kept := t.settles(first.Spec.CSI.VolumeHandle, corev1.VolumeAvailable)
	t.makeClaim("data", asking("2Gi"))
	t.makePod("data")
	second := t.held("data")
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.settles(second.Spec.CSI.VolumeHandle, corev1.VolumeAvailable)
	t.settles(first.Spec.CSI.VolumeHandle, corev1.VolumeReleased)
	t.told(kept, "ReuseSuperseded", "keeps its data, but is not reserved")
	t.makeClaim("data", asking("2Gi"))
	t.makePod("data")
	if v := t.held("data"); v.Spec.CSI.VolumeHandle != second.Spec.CSI.VolumeHandle {
		t.Errorf("the claim got %s, it had %s last", say(v), second.Spec.CSI.VolumeHandle)
	}
	// The one that is left over comes back when the other is gone for good.
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	last := t.settles(second.Spec.CSI.VolumeHandle, corev1.VolumeAvailable)
	t.check(t.Delete(t.Context(), last))
	t.settles(first.Spec.CSI.VolumeHandle, corev1.VolumeAvailable)
}
