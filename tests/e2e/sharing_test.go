//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func oncePodClaimAdmitsOnePod(t *test) {
	t.apply("readwriteoncepod.yaml")
	// The scheduler nearly always takes the pod first that was created first.
	first, second := "first", "second"
	await(t, "one of the pods runs", pods, query{namespace: t.namespace}, func(all []*corev1.Pod) error {
		for _, p := range all {
			if running(p) != nil {
				continue
			}
			if p.Name == "rwop-second" {
				first, second = second, first
			}
			return nil
		}
		return errors.New("none does")
	})
	log := func() string { return t.content(t.directory("rwop"), "log") }
	await(t, "the other pod is told to wait", pods, t.in("rwop-"+second), one(func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, "ReadWriteOncePod access mode") {
				return nil
			}
		}
		return fmt.Errorf("it is %s, its conditions are %v", p.Status.Phase, p.Status.Conditions)
	}))
	if got := log(); got != first {
		t.Errorf("while one pod runs the log says %q, want %q", got, first)
	}
	t.deletePod("rwop-" + first)
	t.podRuns("rwop-" + second)
	t.eventually("the other pod has written", func() error {
		if got := log(); got != first+"\n"+second {
			return fmt.Errorf("the log says %q", got)
		}
		return nil
	})
}

func podsShareClaim(t *test) {
	t.apply("shared.yaml")
	both := t.setRuns("app=shared", 2)
	if both[0].Spec.NodeName != both[1].Spec.NodeName {
		t.Errorf("the pods run on %s and %s", both[0].Spec.NodeName, both[1].Spec.NodeName)
	}
	dir := t.directory("shared")
	for i, p := range both {
		t.content(dir, p.Name)
		other := both[1-i].Name
		if got := t.exec(other, "cat", "/shared/"+p.Name); got != t.content(dir, p.Name) {
			t.Errorf("%s does not see what %s has written, but %q", other, p.Name, got)
		}
	}
}
