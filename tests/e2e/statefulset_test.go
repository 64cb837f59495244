//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// signed leaves a line in a volume that no other volume has, once.
const signed = `[ -e /data/id ] || echo "$POD $(cat /proc/sys/kernel/random/uuid)" > /data/id`

func statefulSetBinds(t *test) {
	t.apply("statefulset.yaml")
	used := map[string]string{}
	for _, p := range t.setRuns("app=web", 2) {
		pv := t.volumeOf("www-" + p.Name)
		node := t.nodeOf(pv)
		if node != p.Spec.NodeName {
			t.Errorf("pod %s runs on %s, its volume is tied to %s", p.Name, p.Spec.NodeName, node)
		}
		if other := used[node]; other != "" {
			t.Errorf("%s has both %s and %s, in spite of the podAntiAffinity", node, other, p.Name)
		}
		used[node] = p.Name
		if pv.Spec.CSI == nil || pv.Spec.CSI.Driver != driver || pv.Annotations["pv.kubernetes.io/provisioned-by"] != driver {
			t.Errorf("volume %s was not provisioned by %s: %v", pv.Name, driver, pv)
		}
		page := t.content(t.directory("www-"+p.Name), "index.html")
		if want := "Written by " + p.Name + " on " + node; page != want {
			t.Errorf("in the directory of %s index.html says %q, want %q", p.Name, page, want)
		}
		if served := t.exec(p.Name, "wget", "-qO-", "http://127.0.0.1/index.html"); served != page {
			t.Errorf("%s serves %q, in its directory is %q", p.Name, served, page)
		}
	}

	// The example says that more replicas than nodes wait.
	t.scale("web", 3)
	await(t, "web-2 finds no node", pods, t.in("web-2"), one(func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, "anti-affinity") {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", p.Status.Conditions)
	}))
}

func deletedPodComesBack(t *test) {
	t.createStatefulSet(newStatefulSet("db", 1, signed))
	before := t.podRuns("db-0")
	id := t.content(t.directory("data-db-0"), "id")
	for range 2 {
		after := t.podComesBack("db-0")
		if after.Spec.NodeName != before.Spec.NodeName {
			t.Errorf("the pod ran on %s and came back on %s", before.Spec.NodeName, after.Spec.NodeName)
		}
		if got := t.exec("db-0", "cat", "/data/id"); got != id {
			t.Errorf("the pod came back with %q, it had %q", got, id)
		}
	}
}

func scaledReplicasFindTheirData(t *test) {
	t.createStatefulSet(newStatefulSet("db", 2, signed))
	t.setRuns("set=db", 2)
	t.scale("db", 5)
	before := map[string]string{}
	for _, p := range t.setRuns("set=db", 5) {
		before[p.Name] = t.content(t.directory("data-"+p.Name), "id")
	}
	t.scale("db", 2)
	t.setRuns("set=db", 2)
	t.scale("db", 5)
	after := map[string]string{}
	for _, p := range t.setRuns("set=db", 5) {
		after[p.Name] = t.exec(p.Name, "cat", "/data/id")
	}
	if !maps.Equal(before, after) {
		t.Errorf("before scaling down the replicas had %q, afterwards %q", before, after)
	}
}

func thirtyReplicasBind(t *test) {
	const replicas = 30
	set := newStatefulSet("many", replicas, signed)
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	t.createStatefulSet(set)
	perNode := map[string]int{}
	owner := map[string]string{}
	for _, p := range t.setRuns("set=many", replicas) {
		perNode[p.Spec.NodeName]++
		id := t.content(t.directory("data-"+p.Name), "id")
		if !strings.HasPrefix(id, p.Name+" ") || owner[id] != "" {
			t.Errorf("the directory of %s holds %q (which %q has, too)", p.Name, id, owner[id])
		}
		owner[id] = p.Name
	}
	t.Logf("replicas on each node: %v", perNode)
	if len(perNode) < 2 {
		t.Errorf("all replicas run on one node: %v", perNode)
	}
}

func (t *test) scale(set string, replicas int32) {
	t.Helper()
	_, err := t.AppsV1().StatefulSets(t.namespace).UpdateScale(context.Background(), set, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: set, Namespace: t.namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}, metav1.UpdateOptions{})
	t.check(err)
}
