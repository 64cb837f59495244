package cli

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

func renameCluster(objects ...runtime.Object) *actCluster {
	v, c := onNode("pv-1", "old", "1Gi")
	c.Labels = map[string]string{"app": "db"}
	done := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "done", Namespace: "shop"}, Spec: usesClaim("old"), Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	return newActCluster(nil, append(objects, v, c, done)...)
}

func usesClaim(name string) corev1.PodSpec {
	return corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}}
}

func TestRename(t *testing.T) {
	for _, namespace := range []string{"shop", "bank"} {
		c := renameCluster()
		stdout, stderr, status := c.run(t, "", "rename", "shop/old", "new", "--to-namespace="+namespace, "--yes")
		if status != OK {
			t.Fatalf("status %d: %s", status, stderr)
		}
		says(t, stdout, "claim shop/old is now "+namespace+"/new")
		claim, err := c.clients.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "new", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if claim.Spec.VolumeName != "pv-1" || claim.Labels["app"] != "db" || claim.Annotations["note"] != "kept" || len(claim.Annotations) != 1 || *claim.Spec.StorageClassName != "hostdir" {
			t.Errorf("the claim is %+v", claim)
		}
		if _, err := c.clients.CoreV1().PersistentVolumeClaims("shop").Get(t.Context(), "old", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the old claim: %v", err)
		}
		v, err := c.clients.CoreV1().PersistentVolumes().Get(t.Context(), "pv-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, marked := v.Annotations[renameAnnotation]
		if marked || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || v.Spec.ClaimRef.UID != claim.UID || v.Spec.ClaimRef.Namespace != namespace || v.Spec.ClaimRef.Name != "new" {
			t.Errorf("the volume is %+v", v)
		}
	}
}

func TestRenameKilled(t *testing.T) {
	writes := killedAnywhere(t, func() *actCluster { return renameCluster() }, func(t *testing.T, c *actCluster) {
		v, err := c.clients.CoreV1().PersistentVolumes().Get(t.Context(), "pv-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// Whoever deletes the data looks at these.
		claim, err := c.clients.CoreV1().PersistentVolumeClaims("shop").Get(t.Context(), v.Spec.ClaimRef.Name, metav1.GetOptions{})
		if err != nil || claim.UID != v.Spec.ClaimRef.UID || claim.Spec.VolumeName != v.Name {
			t.Errorf("the volume is not a living claim's: %v, %+v", err, v.Spec.ClaimRef)
		}
		_, marked := v.Annotations[renameAnnotation]
		if retained := v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain; retained != marked {
			t.Errorf("policy %s, marked %v", v.Spec.PersistentVolumeReclaimPolicy, marked)
		}
	}, "rename", "shop/old", "new", "--yes")
	if writes != 5 { // note, new claim, rebind, old claim, policy
		t.Errorf("there are %d writes", writes)
	}
}

func TestRenameRefuses(t *testing.T) {
	with := func(change func(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim)) *actCluster {
		v, c := onNode("pv-1", "old", "1Gi")
		change(v, c)
		return newActCluster(nil, v, c)
	}
	reserved, other := onNode("pv-2", "new", "1Gi")
	reserved.Spec.ClaimRef.UID, reserved.Status.Phase = "", corev1.VolumeAvailable
	denied := renameCluster()
	denied.denied = []string{"create persistentvolumeclaims"}
	for _, test := range []struct {
		name    string
		cluster *actCluster
		says    string
	}{
		{"a pod uses it", renameCluster(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "shop"}, Spec: usesClaim("old")}), "pod shop/db uses claim shop/old"},
		{"the name is taken", renameCluster(other), "there is a claim shop/new already"},
		{"the name is reserved", renameCluster(reserved), "PersistentVolume pv-2 is reserved"},
		{"not bound", with(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
			c.Spec.VolumeName, c.Status.Phase = "", corev1.ClaimPending
		}), "only a bound one"},
		{"it grows", with(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
		}), "is growing"},
		{"being imported", with(func(_ *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) { c.Annotations[importing] = "begun" }), "is being imported"},
		{"another driver's", with(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.CSI.Driver = "x" }), "not one of hostdir"},
		{"given up", with(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Annotations[pv.GivenUpAnnotation] = "{}"
		}), "given up"},
		{"another claim's", with(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) { v.Spec.ClaimRef.UID = "x" }), "it says otherwise"},
		{"on its way elsewhere", with(func(v *corev1.PersistentVolume, _ *corev1.PersistentVolumeClaim) {
			v.Annotations[renameAnnotation] = `{"from":"shop/old","to":"shop/third"}`
		}), "being renamed to shop/third"},
		{"kept for the name", with(func(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
			v.Name, c.Spec.VolumeName = "reuse-1", "reuse-1"
		}), "docs/how-to/reuse.md"},
		{"no right", denied, "you may not create persistentvolumeclaims"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, stderr, status := test.cluster.run(t, "", "rename", "shop/old", "new", "--yes")
			if status != Wrong || test.cluster.writes > 0 {
				t.Errorf("status %d, %d writes", status, test.cluster.writes)
			}
			says(t, stderr, test.says)
		})
	}
}

func TestRenameMindsOthers(t *testing.T) {
	// Killed when the new claim was made; a pod comes, and then somebody deletes it.
	c := renameCluster()
	c.killedAt = 3
	c.run(t, "", "rename", "shop/old", "new", "--yes")
	c.killedAt = 0
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "shop"}, Spec: usesClaim("old")}
	c.clients.Tracker().Add(pod)
	_, stderr, status := c.run(t, "", "rename", "shop/old", "new", "--yes")
	if status != Wrong {
		t.Errorf("status %d", status)
	}
	says(t, stderr, "pod shop/db uses claim")

	// Killed when the volume was given away; the new claim is deleted.
	c = renameCluster()
	c.killedAt = 4
	c.run(t, "", "rename", "shop/old", "new", "--yes")
	c.killedAt = 0
	c.clients.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), "shop", "new")
	_, stderr, status = c.run(t, "", "rename", "shop/old", "new", "--yes")
	if status != Wrong {
		t.Errorf("status %d", status)
	}
	says(t, stderr, "somebody has deleted", "with the policy Retain")
}
