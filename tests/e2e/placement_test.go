//go:build e2e

package e2e

import (
	"time"
)

func nodeSelectorDecides(t *test) {
	for _, node := range t.nodes {
		t.createClaim(newClaim(node))
		p := newPod(node, node, signed)
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
	}
	for _, node := range t.nodes {
		t.podRuns(node)
		if got := t.nodeOf(t.volumeOf(node)); got != node {
			t.Errorf("the pod of %s has a volume on %s", node, got)
		}
		t.content(t.directory(node), "id")
	}
}

func immediateClassBinds(t *test) {
	t.apply("immediate.yaml") // with a pod, and so that the class is there
	lonely := newClaim("lonely")
	class := "hostdir-immediate"
	lonely.Spec.StorageClassName = &class
	began := time.Now()
	t.createClaim(lonely)
	t.volumeOf("lonely")
	t.Logf("bound after %.1f s", time.Since(began).Seconds())
	t.directory("lonely")

	p := t.podRuns("immediate")
	if node := t.nodeOf(t.volumeOf("immediate")); node != p.Spec.NodeName {
		t.Errorf("the volume is tied to %s, the pod runs on %s", node, p.Spec.NodeName)
	}
}
