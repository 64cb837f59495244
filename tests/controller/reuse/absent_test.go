package reuse

import (
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/controller"
	"github.com/hostdir/hostdir/pkg/controller/reuse"
)

// refusedWithoutLoop makes a namespace anew, whose claim is refused the old one's volume
// by the policy alone. When the loop is back the claim gets a volume of its own, without
// the ten minutes that the scheduler waits for a volume to be bound.
func refusedWithoutLoop(t *tenant) {
	stop := t.run(t.T, nil)
	t.makeClaim("data")
	t.makePod("data")
	old := t.held("data")
	handle := old.Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.settles(handle, corev1.VolumeAvailable)
	stop()

	t.deleteNamespace()
	t.namespaceGoes()
	t.makeNamespace()
	t.makeClaim("data")
	// On another node the scheduler would have a new volume made.
	t.makePod("data", nodeOf(old))
	claim, err := t.claim("data")
	t.check(err)
	t.eventually("the binder has tried", func() error {
		if v := t.volumes(handle)[0]; v.Spec.ClaimRef.UID != claim.UID {
			return errors.New(say(&v))
		}
		return nil
	})
	time.Sleep(2 * time.Second) // it tries again
	if claim, err = t.claim("data"); err != nil || claim.Spec.VolumeName != "" {
		t.Fatalf("the claim has volume %q (%v)", claim.Spec.VolumeName, err)
	}

	t.run(t.T, nil)
	if v := t.held("data"); v.Spec.CSI.VolumeHandle == handle {
		t.Fatalf("the claim of the new namespace got %s, of the old one", say(v))
	}
	t.told(claim, "ReuseRefused", "in a namespace of the same name that was deleted")
	t.settles(handle, corev1.VolumeReleased)
}

// unseenClaim makes and deletes a claim before the loop runs. Its volume is reserved all
// the same, for nobody has written the namespace since.
func unseenClaim(t *tenant) {
	handle := t.unseen()
	t.run(t.T, nil)
	t.settles(handle, corev1.VolumeAvailable)
	t.makeClaim("data")
	t.makePod("data")
	if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
		t.Fatalf("the claim got %s, it had %s", say(v), handle)
	}
}

// unseenNamespace does so in a namespace that is made anew: nothing proves that the
// volume is its own.
func unseenNamespace(t *tenant) {
	handle := t.unseen()
	t.deleteNamespace()
	t.namespaceGoes()
	t.makeNamespace()
	t.run(t.T, nil)
	v := t.volumes(handle)[0]
	t.told(&v, "ReuseUnknown", "nothing proves that its claim was in the namespace "+t.namespace+" of today")
	t.settles(handle, corev1.VolumeReleased)
	t.makeClaim("data")
	t.makePod("data")
	if v := t.held("data"); v.Spec.CSI.VolumeHandle == handle {
		t.Fatalf("the claim of the new namespace got %s, of the old one", say(v))
	}
}

// unseen makes and deletes a claim, and returns the handle of its volume.
func (t *tenant) unseen() string {
	t.Helper()
	t.makeClaim("data")
	t.makePod("data")
	handle := t.binds("data").Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.settles(handle, corev1.VolumeReleased)
	return handle
}

// letGo uninstalls: no claim is held, and no volume waits for whoever comes. What is
// installed later goes on.
func letGo(t *tenant) {
	stop := t.run(t.T, nil)
	for _, name := range []string{"bound", "gone"} {
		t.makeClaim(name)
		t.makePod(name)
	}
	bound, kept := t.held("bound").Spec.CSI.VolumeHandle, t.held("gone").Spec.CSI.VolumeHandle
	t.check(t.Delete(t.Context(), &corev1.Pod{ObjectMeta: meta(t.namespace, "pod-gone")}))
	t.deleteClaim("gone")
	t.claimGoes("gone")
	t.settles(kept, corev1.VolumeAvailable)
	stop()
	replicas, labels := int32(2), map[string]string{"a": "b"}
	d := &appsv1.Deployment{ObjectMeta: meta(t.namespace, "hostdir-controller"), Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none"}}}}}}
	t.check(t.Create(t.Context(), d))
	for range 2 { // it may be killed, and done again
		t.check(controller.ReleaseClaims(t.Context(), controller.Options{
			DriverName: driver, Kubeconfig: t.server.Kubeconfig(), Namespace: t.namespace, QPS: 50, Burst: 100}))
	}
	t.check(t.Get(t.Context(), keyOf(d), d))
	if *d.Spec.Replicas != 0 {
		t.Errorf("the Deployment has %d replicas: what they hold they would hold again", *d.Spec.Replicas)
	}
	t.settles(kept, corev1.VolumeReleased)
	if claim, err := t.claim("bound"); err != nil || fmt.Sprint(claim.Finalizers) != "[kubernetes.io/pvc-protection]" {
		t.Errorf("the finalizers of the bound claim are %q (%v)", claim.Finalizers, err)
	}

	t.run(t.T, nil)
	t.settles(kept, corev1.VolumeAvailable)
	if v := t.held("bound"); v.Spec.CSI.VolumeHandle != bound {
		t.Errorf("the bound claim has %s, it had %s", say(v), bound)
	}
}

// unguarded deletes the admission policy: from then on nothing is reserved.
func unguarded(t *tenant) {
	stop := t.run(t.T, nil)
	t.makeClaim("data")
	t.makePod("data")
	v := t.held("data")
	policy := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta("", reuse.PolicyName)}
	t.check(t.Get(t.Context(), keyOf(policy), policy))
	t.check(t.Delete(t.Context(), policy))
	defer func() {
		policy.ResourceVersion, policy.UID = "", ""
		t.check(t.Create(t.Context(), policy))
		stop()
		t.run(t.T, nil)
		t.settles(v.Spec.CSI.VolumeHandle, corev1.VolumeAvailable)
	}()
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.told(v, "ReuseUnguarded", "without the ValidatingAdmissionPolicy")
	t.settles(v.Spec.CSI.VolumeHandle, corev1.VolumeReleased)
}

// lateBinder makes the scheduler come before Kubernetes' binder: on the node without the
// kept volume it would have a new one made.
func lateBinder(t *tenant) {
	t.run(t.T, nil)
	t.makeClaim("data")
	t.makePod("data")
	v := t.held("data")
	handle := v.Spec.CSI.VolumeHandle
	t.deletePods()
	t.deleteClaim("data")
	t.claimGoes("data")
	t.settles(handle, corev1.VolumeAvailable)

	t.stopBinder()
	elsewhere := "node-a"
	if nodeOf(v) == elsewhere {
		elsewhere = "node-b"
	}
	t.makeClaim("data")
	claim, err := t.claim("data")
	t.check(err)
	// The scheduler says so of any node that it chooses for a new volume.
	claim.Annotations = map[string]string{"volume.kubernetes.io/selected-node": elsewhere}
	if err := t.Update(t.Context(), claim); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "is kept for this claim") {
		t.Errorf("a node is selected for a new volume: %v", err)
	}
	t.makePod("data")
	time.Sleep(3 * time.Second)
	if claim, err = t.claim("data"); err != nil || claim.Annotations["volume.kubernetes.io/selected-node"] != "" {
		t.Errorf("a new volume is to be made, says the claim: %v (%v)", claim.Annotations, err)
	}
	// A larger one is not held up.
	t.makeClaim("other", asking("2Gi"))
	t.makePod("other")
	t.startBinder(t.top)
	if v := t.held("data"); v.Spec.CSI.VolumeHandle != handle {
		t.Errorf("the claim got %s, it had %s", say(v), handle)
	}
	t.held("other")
}

func nodeOf(v *corev1.PersistentVolume) string {
	return v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
}
