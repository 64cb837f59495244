//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// From the deletion of a StatefulSet with its claims, one after the other.
const (
	untilUnmounted = "gone: until kubelet has unmounted the last volume"
	untilDeleted   = "gone: until hostdir has deleted the last volume"
	untilGone      = "gone: until the last PersistentVolume is gone"
)

// whereDeletionGoes divides the time of deletions. hostdir deletes no volume that is
// mounted, and kubelet unmounts it when it has ended the pod's containers.
func (p *comparison) whereDeletionGoes(t *testing.T) (values []report.Value) {
	t.Helper()
	for _, replicas := range []int{1, 10, 30} {
		values = append(values, p.measurePhases(t, fmt.Sprintf("a deletion of %d", replicas), "hostdir", replicas, []string{untilUnmounted, untilDeleted, untilGone},
			func(t *test, runs map[string][]time.Duration) { t.deletionPhases(replicas, runs) })...)
	}
	return values
}

// deletionPhases deletes replicas with their volumes, and adds what that waited for to the
// runs. What the plugin says has the time of this machine.
func (t *test) deletionPhases(replicas int, runs map[string][]time.Duration) {
	t.Helper()
	t.createStatefulSet(replicaSet(replicas, "hostdir"))
	t.setRuns("set=set", replicas)
	time.Sleep(settled)
	began := time.Now()
	d := t.deleteSet()
	runs[untilGone] = append(runs[untilGone], d.all)
	runs[untilUnmounted] = append(runs[untilUnmounted], t.lastSaid(`"volume unpublished"`, began, replicas).Sub(began))
	runs[untilDeleted] = append(runs[untilDeleted], t.lastSaid(`"volume deleted"`, began, replicas).Sub(began))
}

// lastSaid returns when the plugins have said something for the last time, which they are to
// say so often.
func (t *test) lastSaid(what string, since time.Time, times int) time.Time {
	t.Helper()
	var said []time.Time
	for _, p := range t.plugins(t) {
		log, err := t.CoreV1().Pods(home).GetLogs(p.Name, &corev1.PodLogOptions{
			Container: "hostdir", Timestamps: true, SinceTime: &metav1.Time{Time: since},
		}).DoRaw(context.Background())
		t.check(err)
		for line := range strings.Lines(string(log)) {
			stamp, text, _ := strings.Cut(line, " ")
			at, err := time.Parse(time.RFC3339Nano, stamp)
			t.check(err)
			if strings.Contains(text, what) && at.After(since) {
				said = append(said, at)
			}
		}
	}
	if len(said) != times {
		t.Fatalf("the plugins say %s %d times, want %d", what, len(said), times)
	}
	return slices.MaxFunc(said, time.Time.Compare)
}
