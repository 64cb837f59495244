//go:build e2e

package e2e

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
)

// misplacedReplicaIsMadeAnew puts a replica where its volume is not, as the scheduler does
// to one of many that are made while their claims are being bound.
func misplacedReplicaIsMadeAnew(t *test) {
	t.createStatefulSet(newStatefulSet("db", 1, signed))
	t.podRuns("db-0")
	v, id := t.volumeOf("data-db-0"), t.exec("db-0", "cat", "/data/id")
	t.kubectl("delete", "statefulset", "db")
	await(t, "the pod is gone", pods, t.in("db-0"), none)

	misplaced := newPod("db-0", "data-db-0", signed)
	misplaced.Labels = map[string]string{"set": "db"}
	misplaced.Spec.NodeName = t.nodes[0]
	if t.nodeOf(v) == t.nodes[0] {
		misplaced.Spec.NodeName = t.nodes[1]
	}
	t.createPod(misplaced)
	old := await(t, "the pod has a node", pods, t.in("db-0"), one(hasNode))[0]
	t.createStatefulSet(newStatefulSet("db", 1, signed)) // which takes the pod for its own
	await(t, "the pod is made anew where its volume is", pods, t.in("db-0"), one(func(p *corev1.Pod) error {
		if p.UID == old.UID {
			return errors.New("it is the old one")
		}
		return running(p)
	}))
	if now := t.exec("db-0", "cat", "/data/id"); now != id || t.volumeOf("data-db-0").Name != v.Name {
		t.Errorf("the replica finds %q, it wrote %q", now, id)
	}
}
