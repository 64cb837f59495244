//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// soon is how long after the last pod its volumes may take to go: less than the
// back-off after a few refusals, and far more than it takes on an idle machine.
const soon = 5 * time.Second

func deletedSetIsQuick(t *test) {
	const replicas, attempts = 10, 3 // other tests may have the machine for a while
	for attempt := 1; ; attempt++ {
		t.createStatefulSet(hastySet(replicas))
		t.setRuns("set=set", replicas)
		d := t.deleteSet()
		t.Logf("%s after their deletion, %s after the last pod, all volumes are gone", seconds(d.all), seconds(d.afterPods))
		for _, w := range d.warnings {
			t.Errorf("a deletion as it should be leads to a Warning: %s", w)
		}
		if d.afterPods <= soon {
			return
		}
		if attempt == attempts {
			t.Fatalf("the volumes are gone %s after the last pod, want at most %s", d.afterPods, soon)
		}
	}
}

// settled is how old containers are at least before it is measured how they end: one that
// has just started may not have come to its trap yet, and kubelet waits two seconds for it.
const settled = time.Second

// hastySet is a StatefulSet "set" whose pods start all at once and are given no
// time to end. Their objects go at once as well, and claims with them, while
// kubelet still has to unmount: so the deletes of volumes come too early.
func hastySet(replicas int) *appsv1.StatefulSet {
	set := newStatefulSet("set", int32(replicas), "")
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	set.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64)
	return set
}

// A deletion is what became of a StatefulSet that was deleted with its claims.
type deletion struct {
	all, afterPods time.Duration // until all volumes were gone, from the deletion and from the last pod's end
	warnings       []string      // about claims and volumes
}

// deleteSet deletes the StatefulSet and all claims of the namespace, as kubectl
// does, and waits until their volumes are gone.
func (t *test) deleteSet() deletion {
	t.Helper()
	ctx := context.Background()
	all, err := t.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	t.check(err)
	var names []string
	for _, pv := range all.Items {
		if t.owns(&pv) {
			names = append(names, pv.Name)
		}
	}

	began := time.Now()
	inBackground := metav1.DeletePropagationBackground
	t.check(t.AppsV1().StatefulSets(t.namespace).Delete(ctx, "set", metav1.DeleteOptions{PropagationPolicy: &inBackground}))
	t.check(t.CoreV1().PersistentVolumeClaims(t.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	await(t, "all pods are gone", pods, query{namespace: t.namespace}, none)
	podsGone := time.Now()
	t.volumesGo()
	d := deletion{all: time.Since(began), afterPods: time.Since(podsGone)}

	// Events about volumes, which have no namespace, are in "default".
	for _, namespace := range []string{t.namespace, metav1.NamespaceDefault} {
		events, err := t.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
		t.check(err)
		for _, e := range events.Items {
			about := e.InvolvedObject
			if about.Kind == "PersistentVolumeClaim" && about.Namespace == t.namespace && !lastSeen(&e).Before(began.Truncate(time.Second)) ||
				about.Kind == "PersistentVolume" && slices.Contains(names, about.Name) {
				d.warnings = append(d.warnings, fmt.Sprintf("%s of %s: %s", e.Reason, about.Name, e.Message))
			}
		}
	}
	return d
}

// volumesGo waits until all volumes of the namespace's claims are gone.
func (t *test) volumesGo() {
	t.Helper()
	await(t, "the volumes of its claims go", volumes, query{}, func(all []*corev1.PersistentVolume) error {
		for _, pv := range all {
			if t.owns(pv) {
				return fmt.Errorf("volume %s of claim %s is %s", pv.Name, pv.Spec.ClaimRef.Name, pv.Status.Phase)
			}
		}
		return nil
	})
}

// owns reports whether a volume is that of a claim of the namespace.
func (t *test) owns(pv *corev1.PersistentVolume) bool {
	return pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.Namespace == t.namespace
}
