//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const reuseClass = "hostdir-reuse"

// kept is what a replica has, and where.
type kept struct{ id, node, handle string }

// keptBy waits until the replicas of a StatefulSet run, and returns what each has.
func (t *test) keptBy(selector string, replicas int) map[string]kept {
	t.Helper()
	found := map[string]kept{}
	for _, p := range t.setRuns(selector, replicas) {
		t.eventually(p.Name+" has written", func() error {
			id := t.exec(p.Name, "sh", "-c", "cat /data/id || true")
			if !strings.HasPrefix(id, p.Name+" ") {
				return fmt.Errorf("it has %q", id)
			}
			found[p.Name] = kept{id, p.Spec.NodeName, t.volumeOf("data-" + p.Name).Spec.CSI.VolumeHandle}
			return nil
		})
	}
	return found
}

// letDataGo lets the test's volumes go with its namespace, as examples/reuse.yaml says.
func (t *test) letDataGo() {
	t.Cleanup(func() {
		for _, v := range t.all() {
			t.reclaim(v.Name, corev1.PersistentVolumeReclaimDelete)
		}
	})
}

func deletedSetFindsItsData(t *test) {
	t.letDataGo()
	t.apply("reuse.yaml")
	before := t.keptBy("app=kept", 2)
	for round := range 10 {
		t.kubectl("delete", "statefulset,pvc", "-l", "app=kept")
		await(t, "the pods are gone", pods, query{namespace: t.namespace, labels: "app=kept"}, none)
		// Others take the places and the room meanwhile.
		set := newStatefulSet("other", 4, signed)
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		t.createStatefulSet(set)
		t.setRuns("set=other", 4)
		t.kubectl("apply", "-f", t.example("reuse.yaml"))
		if after := t.keptBy("app=kept", 2); !maps.Equal(before, after) {
			t.Fatalf("round %d: the replicas had %v, now %v", round, before, after)
		}
		t.kubectl("delete", "statefulset/other")
		await(t, "the others are gone", pods, query{namespace: t.namespace, labels: "set=other"}, none)
		t.kubectl("delete", "pvc", "-l", "set=other")
	}
	all, err := t.CoreV1().Events(t.namespace).List(context.Background(), metav1.ListOptions{FieldSelector: "type=Warning"})
	t.check(err)
	for _, e := range all.Items {
		if strings.HasPrefix(e.Reason, "Reuse") {
			t.Errorf("%s of %s: %s", e.Reason, e.InvolvedObject.Name, e.Message)
		}
	}
}

func retentionPoliciesKeepData(t *test) {
	t.letDataGo()
	newSet := func() *appsv1.StatefulSet {
		set := newStatefulSet("db", 2, signed)
		class := reuseClass
		set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &class
		set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			WhenScaled:  appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		}
		return set
	}
	claimsGo := func() { await(t, "the claims are gone", claims, query{namespace: t.namespace}, none) }
	t.createStatefulSet(newSet())
	before := t.keptBy("set=db", 2)
	t.check(t.AppsV1().StatefulSets(t.namespace).Delete(context.Background(), "db", metav1.DeleteOptions{}))
	claimsGo()
	t.createStatefulSet(newSet())
	if after := t.keptBy("set=db", 2); !maps.Equal(before, after) {
		t.Errorf("the set was deleted and made again; its replicas had %v, now %v", before, after)
	}
	t.scale("db", 0)
	claimsGo()
	t.scale("db", 2)
	if after := t.keptBy("set=db", 2); !maps.Equal(before, after) {
		t.Errorf("the set was scaled to 0 and back; its replicas had %v, now %v", before, after)
	}
}

func hastyClaimFindsItsData(t *test) {
	t.letDataGo()
	newReused := func() *corev1.PersistentVolumeClaim {
		claim, class := newClaim("data"), reuseClass
		claim.Spec.StorageClassName = &class
		return claim
	}
	t.createClaim(newReused())
	t.createPod(newPod("first", "data", signed))
	t.podRuns("first")
	handle := t.volumeOf("data").Spec.CSI.VolumeHandle
	id := t.exec("first", "cat", "/data/id")
	t.deletePod("first")
	ctx := context.Background()
	c := t.CoreV1().PersistentVolumeClaims(t.namespace)
	misplaced := 0
	for round := range 20 {
		t.check(c.Delete(ctx, "data", metav1.DeleteOptions{}))
		t.eventually("the claim is made again", func() error {
			_, err := c.Create(ctx, newReused(), metav1.CreateOptions{})
			return err
		})
		t.createPod(newPod("next", "data", signed))
		v := t.volumeOf("data")
		if v.Spec.CSI.VolumeHandle != handle {
			t.Fatalf("round %d: the claim has the volume %s, it had %s", round, v.Spec.CSI.VolumeHandle, handle)
		}
		if t.runsAtVolume("next", v, func() { t.createPod(newPod("next", "data", signed)) }) {
			misplaced++
		}
		if now := t.exec("next", "cat", "/data/id"); now != id || t.volumeOf("data").Spec.CSI.VolumeHandle != handle {
			t.Fatalf("round %d: the claim has %q, it had %q", round, now, id)
		}
		t.deletePod("next")
	}
	if misplaced > 2 {
		t.Errorf("%d of 20 pods were sent to a node on which their volume is not", misplaced)
	}
}

// runsAtVolume waits until a pod runs that was made with a claim whose volume was there
// already. Seen once in some fifty rounds: the scheduler sends the pod to another node, on
// which kubelet refuses it the volume. Made anew, by again, it goes to the right one.
func (t *test) runsAtVolume(pod string, v *corev1.PersistentVolume, again func()) (misplaced bool) {
	t.Helper()
	if p := await(t, "pod "+pod+" has a node", pods, t.in(pod), one(hasNode))[0]; p.Spec.NodeName != t.nodeOf(v) {
		misplaced = true
		t.Logf("pod %s was sent to %s, its volume is on %s", pod, p.Spec.NodeName, t.nodeOf(v))
		t.deletePod(pod)
		again()
	}
	t.podRuns(pod)
	return misplaced
}

func hasNode(p *corev1.Pod) error {
	if p.Spec.NodeName == "" {
		return errors.New("it has none")
	}
	return nil
}

func newNamespaceInheritsNothing(t *test) {
	t.letDataGo()
	t.apply("reuse.yaml")
	old := t.keptBy("app=kept", 2)
	t.kubectl("delete", "statefulset,pvc", "-l", "app=kept")
	t.inherits(old, func() {})

	// And with nobody there who could give anything back.
	old = t.keptBy("app=kept", 2)
	t.kubectl("delete", "statefulset,pvc", "-l", "app=kept")
	t.scaleController(0)
	t.Cleanup(func() { t.scaleController(1) })
	t.inherits(old, func() {
		time.Sleep(10 * time.Second)
		for _, v := range t.all() {
			for _, k := range old {
				if v.Spec.CSI.VolumeHandle == k.handle && v.Spec.ClaimRef.UID != "" && t.boundTo(v.Name) {
					t.Errorf("a claim of the new namespace is bound to %s, of the old one", v.Name)
				}
			}
		}
		t.scaleController(1)
	})
}

// inherits makes the namespace anew, with the example, and fails if its replicas have
// anything of what the old one had.
func (t *test) inherits(old map[string]kept, meanwhile func()) {
	t.Helper()
	ctx := context.Background()
	t.check(t.CoreV1().Namespaces().Delete(ctx, t.namespace, metav1.DeleteOptions{}))
	await(t, "the namespace is gone", namespaces, named(t.namespace), none)
	_, err := t.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}}, metav1.CreateOptions{})
	t.check(err)
	t.kubectl("apply", "-f", t.example("reuse.yaml"))
	meanwhile()
	for name, now := range t.keptBy("app=kept", 2) {
		for _, before := range old {
			if now.id == before.id || now.handle == before.handle {
				t.Errorf("%s of the new namespace has %v, of the old one", name, now)
			}
		}
	}
	for _, k := range old {
		await(t, "the old volume is kept for the admin", volumes, query{}, func(all []*corev1.PersistentVolume) error {
			for _, v := range all {
				if t.owns(v) && v.Spec.CSI.VolumeHandle == k.handle {
					return released(v)
				}
			}
			return fmt.Errorf("there is none of %s", k.handle)
		})
	}
}

// all are the volumes of the namespace.
func (t *test) all() []corev1.PersistentVolume {
	t.Helper()
	all, err := t.CoreV1().PersistentVolumes().List(context.Background(), metav1.ListOptions{})
	t.check(err)
	var own []corev1.PersistentVolume
	for i := range all.Items {
		if t.owns(&all.Items[i]) {
			own = append(own, all.Items[i])
		}
	}
	return own
}

// boundTo reports whether a claim of the namespace has a volume.
func (t *test) boundTo(volume string) bool {
	t.Helper()
	all, err := t.CoreV1().PersistentVolumeClaims(t.namespace).List(context.Background(), metav1.ListOptions{})
	t.check(err)
	for _, c := range all.Items {
		if c.Spec.VolumeName == volume {
			return true
		}
	}
	return false
}

// scaleController ends hostdir-controller, or starts it.
func (t *test) scaleController(replicas int) {
	t.Helper()
	run(t, "kubectl", "-n", home, "scale", "deployment/hostdir-controller", fmt.Sprintf("--replicas=%d", replicas))
	if replicas > 0 {
		run(t, "kubectl", "-n", home, "rollout", "status", "deployment/hostdir-controller", "--timeout=3m")
		return
	}
	await(t, "the controller's pods are gone", pods, controllers, none)
}

// uninstallingHoldsNoClaim deletes claims of class hostdir-reuse after hostdir.
func uninstallingHoldsNoClaim(t *test) {
	t.letDataGo()
	t.apply("reuse.yaml")
	before := t.keptBy("app=kept", 2)
	t.kubectl("delete", "--wait=false", "statefulset/kept")
	await(t, "the pods are gone", pods, query{namespace: t.namespace}, none)
	t.deleteClaim("data-kept-0")
	run(t, "helm", "uninstall", "hostdir", "--namespace", home, "--wait", "--timeout", "3m")
	t.Cleanup(func() {
		t.explain()
		t.install(t)
	})
	t.deleteClaim("data-kept-1")
	await(t, "no volume is there for whoever comes", volumes, query{}, func(all []*corev1.PersistentVolume) error {
		for _, v := range all {
			if t.owns(v) && v.Status.Phase != corev1.VolumeReleased {
				return fmt.Errorf("volume %s is %s", v.Name, v.Status.Phase)
			}
		}
		return nil
	})
	if _, err := t.BatchV1().Jobs(home).Get(context.Background(), "hostdir-uninstall", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the hook's Job is left: %v", err)
	}

	// What is installed again goes on where it was.
	t.install(t)
	await(t, "the volumes are reserved again", volumes, query{}, func(all []*corev1.PersistentVolume) error {
		for _, v := range all {
			if t.owns(v) && v.Status.Phase != corev1.VolumeAvailable {
				return fmt.Errorf("volume %s is %s", v.Name, v.Status.Phase)
			}
		}
		return nil
	})
	t.kubectl("apply", "-f", t.example("reuse.yaml"))
	if after := t.keptBy("app=kept", 2); !maps.Equal(before, after) {
		t.Errorf("the replicas had %v, now %v", before, after)
	}
}
