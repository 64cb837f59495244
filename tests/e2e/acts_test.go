//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
)

// act runs a command of the plugin of kubectl in the test's namespace, which agrees to
// all that it asks, and returns its exit status and what it says.
func (t *test) act(args ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &said, ErrOut: &said}
	status := cli.Run(context.Background(), "dev", streams, append(args, "--namespace", t.namespace, "--yes"))
	t.Logf("kubectl hostdir %s: status %d\n%s", strings.Join(args, " "), status, &said)
	return status, said.String()
}

// acts holds that a command does what it is asked for.
func (t *test) acts(args ...string) {
	t.Helper()
	if status, said := t.act(args...); status != cli.OK {
		t.Fatalf("kubectl hostdir %s: status %d: %s", strings.Join(args, " "), status, said)
	}
}

// refusesTo holds that a command is refused, with these words.
func (t *test) refusesTo(words string, args ...string) {
	t.Helper()
	if status, said := t.act(args...); status != cli.Wrong || !strings.Contains(said, words) {
		t.Errorf("kubectl hostdir %s: status %d, and it does not say %q: %s", strings.Join(args, " "), status, words, said)
	}
}

func statefulSetIsResized(t *test) {
	const small, large = 16 * mebibyte, 32 * mebibyte
	ctx := context.Background()
	class := t.createClass(nil)
	set := newStatefulSet("db", 2, signed)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, small)}
	set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	}
	t.createStatefulSet(set)
	before := t.keptBy("set=db", 2)
	pods := map[string]*corev1.Pod{}
	for _, p := range t.setRuns("set=db", 2) {
		pods[p.Name] = p
	}
	old, err := t.AppsV1().StatefulSets(t.namespace).Get(ctx, "db", metav1.GetOptions{})
	t.check(err)

	t.refusesTo("does not shrink", "resize", "statefulset/db", "1Mi")
	t.refusesTo("too little", "resize", "statefulset/db", "1Pi")
	t.acts("resize", "statefulset/db", "32Mi")
	for i := range 2 {
		await(t, "the claims have grown", claims, t.in(fmt.Sprint("data-db-", i)), hasSize(large))
	}
	now, err := t.AppsV1().StatefulSets(t.namespace).Get(ctx, "db", metav1.GetOptions{})
	t.check(err)
	if size := now.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]; now.UID == old.UID || size.Value() != large {
		t.Errorf("the template has %s", size.String())
	}
	if _, err := t.CoreV1().ConfigMaps(t.namespace).Get(ctx, "hostdir-resize-db", metav1.GetOptions{}); err == nil {
		t.Error("the manifest that was kept is still there")
	}
	t.scale("db", 3)
	for _, p := range t.setRuns("set=db", 3) {
		was := pods[p.Name]
		if was != nil && (p.UID != was.UID || p.Status.ContainerStatuses[0].RestartCount != 0) {
			t.Errorf("pod %s was started again", p.Name)
		}
		if !metav1.IsControlledBy(p, now) {
			t.Errorf("pod %s is not the new StatefulSet's", p.Name)
		}
	}
	after := t.keptBy("set=db", 3)
	for name, had := range before {
		if after[name] != had {
			t.Errorf("%s had %v, now %v", name, had, after[name])
		}
	}
	await(t, "a new replica has the new size", claims, t.in("data-db-2"), hasSize(large))
	t.acts("resize", "statefulset/db", "32Mi") // nothing to do

	// A command that was killed in between leaves the StatefulSet in the ConfigMap.
	t.kubectl("create", "configmap", "hostdir-resize-db", "--from-literal=statefulset.yaml="+t.kubectl("get", "statefulset/db", "-o", "json"))
	t.kubectl("delete", "statefulset/db", "--cascade=orphan")
	t.acts("resize", "statefulset/db", "48Mi")
	for i := range 3 {
		await(t, "the claims have grown again", claims, t.in(fmt.Sprint("data-db-", i)), hasSize(48*mebibyte))
	}
	t.setRuns("set=db", 3)
}

func volumesAreReleased(t *test) {
	t.outside = append(t.outside, t.emptyTrash)
	retained := func(claim string, parameters map[string]string) *corev1.PersistentVolume {
		parameters["trashTTL"] = "24h"
		class := t.createClass(parameters)
		t.createClaim(sized(claim, class, 16*mebibyte))
		t.createPod(newPod("writer", claim, signed))
		t.podRuns("writer")
		v := t.volumeOf(claim)
		t.refusesTo("lives", "release", claim)
		t.refusesTo("is Bound", "release", "pv/"+v.Name)
		t.reclaim(v.Name, corev1.PersistentVolumeReclaimRetain)
		t.deletePod("writer")
		return v
	}

	v := retained("released", map[string]string{})
	t.kubectl("delete", "pvc/released")
	await(t, "the volume is released", volumes, named(v.Name), one(released))
	t.acts("release", "released")
	await(t, "the PersistentVolume is gone", volumes, named(v.Name), none)
	t.inTrash(t.nodeOf(v), v.Name)

	// Reserved for the next claim of its name, which gets another one then.
	v = retained("reserved", map[string]string{"reuse": "same-claim"})
	await(t, "the claim is held", claims, t.in("reserved"), one(func(c *corev1.PersistentVolumeClaim) error {
		if !slices.Contains(c.Finalizers, driver+"/reuse") {
			return fmt.Errorf("its finalizers are %v", c.Finalizers)
		}
		return nil
	}))
	t.kubectl("delete", "pvc/reserved")
	await(t, "the volume is replaced by its twin", volumes, named(v.Name), none)
	t.eventually("the twin is reserved", func() error {
		for _, twin := range t.all() {
			if twin.Status.Phase == corev1.VolumeAvailable {
				return nil
			}
		}
		return errors.New("no volume is Available")
	})
	t.acts("release", "reserved")
	for _, left := range t.all() {
		t.Errorf("PersistentVolume %s is left", left.Name)
	}
	t.inTrash(t.nodeOf(v), v.Name)

	// Forgotten by Kubernetes.
	v = retained("forgotten", map[string]string{})
	t.kubectl("delete", "pvc/forgotten")
	await(t, "the volume is released", volumes, named(v.Name), one(released))
	t.kubectl("delete", "pv/"+v.Name)
	t.acts("release", "forgotten")
	t.inTrash(t.nodeOf(v), v.Name)
}

func claimsAreRenamed(t *test) {
	t.letDataGo()
	ctx := context.Background()
	for _, class := range []string{"hostdir", reuseClass} {
		name := "old-" + class
		c := newClaim(name)
		c.Spec.StorageClassName = &class
		t.createClaim(c)
		t.createPod(newPod("writer-"+class, name, signed))
		t.podRuns("writer-" + class)
		id := t.exec("writer-"+class, "cat", "/data/id")
		before := t.volumeOf(name)
		t.refusesTo("uses claim", "rename", name, "new-"+class)
		t.deletePod("writer-" + class)

		t.acts("rename", name, "new-"+class)
		await(t, "the old claim is gone", claims, t.in(name), none)
		after := t.volumeOf("new-" + class)
		if after.Name != before.Name || after.Spec.PersistentVolumeReclaimPolicy != before.Spec.PersistentVolumeReclaimPolicy {
			t.Errorf("class %s: the claim had volume %s (%s), now %s (%s)", class, before.Name, before.Spec.PersistentVolumeReclaimPolicy, after.Name, after.Spec.PersistentVolumeReclaimPolicy)
		}
		t.createPod(newPod("reader-"+class, "new-"+class, "cat /data/id >/tmp/id"))
		t.podRuns("reader-" + class)
		t.eventually("the data is there", func() error {
			if now := t.exec("reader-"+class, "cat", "/data/id"); now != id {
				return fmt.Errorf("it is %q, it was %q", now, id)
			}
			return nil
		})
		t.deletePod("reader-" + class)
	}

	// Nothing is reserved for the old name: a claim of it gets a volume of its own.
	class := reuseClass
	c := newClaim("old-" + class)
	c.Spec.StorageClassName = &class
	t.createClaim(c)
	t.createPod(newPod("other", "old-"+class, signed))
	t.podRuns("other")
	if t.volumeOf("old-"+class).Name == t.volumeOf("new-"+class).Name {
		t.Error("a claim of the old name got the volume")
	}
	t.deletePod("other")

	// Into another namespace.
	there := t.namespace + "-there"
	_, err := t.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: there}}, metav1.CreateOptions{})
	t.check(err)
	t.outside = append(t.outside, func() {
		t.check(t.CoreV1().Namespaces().Delete(ctx, there, metav1.DeleteOptions{}))
		await(t, "the other namespace is gone", namespaces, named(there), none)
	})
	v := t.volumeOf("new-hostdir")
	t.acts("rename", "new-hostdir", "moved", "--to-namespace", there)
	moved, err := t.CoreV1().PersistentVolumeClaims(there).Get(ctx, "moved", metav1.GetOptions{})
	t.check(err)
	if moved.Spec.VolumeName != v.Name || moved.Status.Phase != corev1.ClaimBound {
		t.Errorf("the claim is %s, of volume %s", moved.Status.Phase, moved.Spec.VolumeName)
	}
	// Its link below claims/ is that of the claim that it was made for, until it goes.
	t.check(t.CoreV1().PersistentVolumeClaims(there).Delete(ctx, "moved", metav1.DeleteOptions{}))
	await(t, "the moved volume goes with its claim", volumes, named(v.Name), none)
}
