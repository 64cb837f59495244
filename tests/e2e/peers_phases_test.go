//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// Of what a single replica waits for, one after the other.
const (
	untilBound     = "one replica: claim until Bound"
	untilScheduled = "one replica: then, until the scheduler lets go of its pod"
	untilReady     = "one replica: then, until its pod is ready"
)

// whereTimeGoes divides the time of single replicas. Once a claim is Bound the scheduler
// has yet to see it: it looks once a second.
func (p *comparison) whereTimeGoes(t *testing.T) (values []report.Value) {
	t.Helper()
	for _, side := range p.sides {
		values = append(values, p.measurePhases(t, "a replica with "+side.name, side.name, 0, []string{untilBound, untilScheduled, untilReady},
			func(t *test, runs map[string][]time.Duration) { t.phases(side.class, runs) })...)
	}
	return values
}

// measurePhases runs what adds its phases to the runs, some times.
func (p *comparison) measurePhases(t *testing.T, of, side string, n int, phases []string, run func(*test, map[string][]time.Duration)) (values []report.Value) {
	t.Helper()
	const rounds = 3
	runs := map[string][]time.Duration{}
	for range rounds {
		t.Run("the phases of "+of, func(t *testing.T) { run(begin(t, p.cluster), runs) })
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, what := range phases {
		if len(runs[what]) > 0 {
			values = append(values, report.Seconds(what, side, n, runs[what]...))
		}
	}
	return values
}

// phases runs one replica and adds what it waited for to the runs.
func (t *test) phases(class string, runs map[string][]time.Duration) {
	t.Helper()
	ctx := context.Background()
	claims, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Watch(ctx, metav1.ListOptions{})
	t.check(err)
	defer claims.Stop()
	pods, err := t.CoreV1().Pods(t.namespace).Watch(ctx, metav1.ListOptions{})
	t.check(err)
	defer pods.Stop()
	t.createStatefulSet(replicaSet(1, class))
	var last time.Time
	next := func(what string, events watch.Interface, met func(any) bool) {
		t.Helper()
		at := t.seen(what, events, met)
		if !last.IsZero() {
			runs[what] = append(runs[what], at.Sub(last))
		}
		last = at
	}
	if class != emptyDir {
		last = t.seen("the claim is there", claims, func(any) bool { return true })
		next(untilBound, claims, func(o any) bool { return o.(*corev1.PersistentVolumeClaim).Status.Phase == corev1.ClaimBound })
	} else {
		last = t.seen("the pod is there", pods, func(any) bool { return true })
	}
	next(untilScheduled, pods, func(o any) bool { return o.(*corev1.Pod).Spec.NodeName != "" })
	next(untilReady, pods, func(o any) bool { return running(o.(*corev1.Pod)) == nil })
	t.deleteSet()
}

// seen returns when an event shows an object that is met.
func (t *test) seen(what string, events watch.Interface, met func(any) bool) time.Time {
	t.Helper()
	for tooLong := time.After(patience); ; {
		select {
		case event, open := <-events.ResultChan():
			if !open || event.Type == watch.Error {
				t.Fatalf("the API server ends a watch: %v", event.Object)
			}
			if met(event.Object) {
				return time.Now()
			}
		case <-tooLong:
			t.Fatal(fmt.Errorf("waited %s in vain until %s", patience, what))
		}
	}
}
