package binding

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const driver = "csi.hostdir.io"

func pair() (*corev1.PersistentVolume, *corev1.PersistentVolumeClaim) {
	class, one := "hostdir", corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "v", Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: one, StorageClassName: class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			ClaimRef:               &corev1.ObjectReference{Namespace: "n", Name: "c", UID: "u"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumePending},
	}
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c", UID: "u"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: one.DeepCopy()},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	return v, c
}

// TestWhyNot changes one thing of a pair that is to be bound.
func TestWhyNot(t *testing.T) {
	type (
		volume = corev1.PersistentVolume
		claim  = corev1.PersistentVolumeClaim
	)
	now := metav1.NewTime(time.Now())
	for _, test := range []struct {
		name   string
		change func(*volume, *claim)
		binds  bool
	}{
		{"as the provisioner makes it", func(*volume, *claim) {}, true},
		{"phases that were never written", func(v *volume, c *claim) { v.Status.Phase, c.Status.Phase = "", "" }, true},
		{"larger than asked for", func(v *volume, _ *claim) { v.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse("2Gi") }, true},
		{"more access modes", func(v *volume, _ *claim) { v.Spec.AccessModes = append(v.Spec.AccessModes, corev1.ReadWriteOncePod) }, true},
		{"filesystem by default", func(v *volume, _ *claim) { v.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem) }, true},
		{"an empty VolumeAttributesClass", func(_ *volume, c *claim) { c.Spec.VolumeAttributesClassName = new("") }, true},
		{"the class in an annotation", func(_ *volume, c *claim) {
			c.Spec.StorageClassName, c.Annotations = nil, map[string]string{betaClass: "hostdir"}
		}, true},

		{"another driver", func(v *volume, _ *claim) { v.Spec.CSI.Driver = "other" }, false},
		{"no CSI volume", func(v *volume, _ *claim) { v.Spec.CSI = nil }, false},
		{"made by a person", func(v *volume, _ *claim) { v.Annotations = nil }, false},
		{"made for nobody", func(v *volume, _ *claim) { v.Spec.ClaimRef = nil }, false},
		{"made for a name", func(v *volume, _ *claim) { v.Spec.ClaimRef.UID = "" }, false},
		{"the volume is being deleted", func(v *volume, _ *claim) { v.DeletionTimestamp = &now }, false},
		{"the volume is Bound", func(v *volume, _ *claim) { v.Status.Phase = corev1.VolumeBound }, false},
		{"the volume is Released", func(v *volume, _ *claim) { v.Status.Phase = corev1.VolumeReleased }, false},
		{"the volume is Available", func(v *volume, _ *claim) { v.Status.Phase = corev1.VolumeAvailable }, false},
		{"the binder has begun", func(v *volume, _ *claim) { v.Annotations[boundByController] = "yes" }, false},
		{"the volume grew", func(v *volume, _ *claim) { v.Annotations[preResizeCapacity] = "1Gi" }, false},
		{"the volume has no capacity", func(v *volume, _ *claim) { v.Spec.Capacity = nil }, false},
		{"another claim of that name", func(_ *volume, c *claim) { c.UID = "other" }, false},
		{"another name", func(_ *volume, c *claim) { c.Name = "other" }, false},
		{"another namespace", func(_ *volume, c *claim) { c.Namespace = "other" }, false},
		{"the claim is being deleted", func(_ *volume, c *claim) { c.DeletionTimestamp = &now }, false},
		{"the claim is bound to it", func(_ *volume, c *claim) { c.Spec.VolumeName = "v" }, false},
		{"the claim is bound to another", func(_ *volume, c *claim) { c.Spec.VolumeName = "other" }, false},
		{"the claim was bound once", func(_ *volume, c *claim) { c.Annotations = map[string]string{bindCompleted: "yes"} }, false},
		{"the claim is Lost", func(_ *volume, c *claim) { c.Status.Phase = corev1.ClaimLost }, false},
		{"the claim asks for more", func(_ *volume, c *claim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
		}, false},
		{"another volumeMode", func(_ *volume, c *claim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }, false},
		{"a VolumeAttributesClass", func(_ *volume, c *claim) { c.Spec.VolumeAttributesClassName = new("gold") }, false},
		{"another class", func(_ *volume, c *claim) { c.Spec.StorageClassName = new("other") }, false},
		{"an access mode that it has not", func(_ *volume, c *claim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, c := pair()
			test.change(v, c)
			why := whyNotVolume(v, driver)
			if why == "" {
				why = whyNot(v, c)
			}
			if (why == "") != test.binds {
				t.Errorf("%q", why)
			}
		})
	}
}

func TestHasRival(t *testing.T) {
	v, c := pair()
	for _, test := range []struct {
		name   string
		change func(*corev1.PersistentVolume)
		want   bool
	}{
		{"itself", func(*corev1.PersistentVolume) {}, false},
		{"another for the claim", func(v *corev1.PersistentVolume) { v.Name = "w" }, true},
		{"another for the claim's name", func(v *corev1.PersistentVolume) { v.Name, v.Spec.ClaimRef.UID = "w", "" }, true},
		{"one of a former claim of that name", func(v *corev1.PersistentVolume) { v.Name, v.Spec.ClaimRef.UID = "w", "former" }, false},
		{"another claim's", func(v *corev1.PersistentVolume) { v.Name, v.Spec.ClaimRef.Name = "w", "d" }, false},
		{"nobody's", func(v *corev1.PersistentVolume) { v.Name, v.Spec.ClaimRef = "w", nil }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			other, _ := pair()
			test.change(other)
			if got := hasRival(v, c, []corev1.PersistentVolume{*other}); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
}

// TestHasSeen is of resource versions, which are numbers, not texts.
func TestHasSeen(t *testing.T) {
	b := newBinder(writer{driver: driver}, nil)
	b.seen = 100
	for version, want := range map[string]bool{"9": true, "99": true, "100": false, "101": false, "1000": false, "": false} {
		v, _ := pair()
		v.ResourceVersion = version
		if got := b.hasSeen(v); got != want {
			t.Errorf("version %q: %t", version, got)
		}
	}
}
