//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

var volumeSnapshots = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshots"}

// snapshotFigures prints how long a snapshot of a claim that a pod writes to takes until
// it is ready, and a claim that begins as one until it is Bound: no pod waits for it.
func (c *cluster) snapshotFigures(t *testing.T) {
	const rounds = 5
	var ready, bound []time.Duration
	t.Run("snapshots", func(t *testing.T) {
		w := begin(t, c)
		w.createClaim(newClaim("data"))
		w.createPod(newPod("writer", "data", signed))
		w.podRuns("writer")
		for i := range rounds {
			name := fmt.Sprintf("snapshot-%d", i)
			ready = append(ready, w.takeSnapshot(name, "data"))
			bound = append(bound, w.restoreSnapshot(name))
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	fmt.Printf("\nSnapshots of a small claim, medians of %d:\n\n", rounds)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "a snapshot, until it is ready\t%s\n", seconds(median(ready)))
	fmt.Fprintf(table, "a claim that begins as one, until it is Bound\t%s\n", seconds(median(bound)))
	table.Flush()
}

// takeSnapshot makes a snapshot and returns how long it took until it was ready.
func (t *test) takeSnapshot(name, claim string) time.Duration {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	t.check(err)
	all, err := dynamic.NewForConfig(config)
	t.check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	events, err := all.Resource(volumeSnapshots).Namespace(t.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	t.check(err)
	defer events.Stop()
	began := time.Now()
	_, err = all.Resource(volumeSnapshots).Namespace(t.namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": volumeSnapshots.GroupVersion().String(), "kind": "VolumeSnapshot", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"source": map[string]any{"persistentVolumeClaimName": claim}},
	}}, metav1.CreateOptions{})
	t.check(err)
	for event := range events.ResultChan() {
		s, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			break
		}
		if ready, _, _ := unstructured.NestedBool(s.Object, "status", "readyToUse"); ready {
			return time.Since(began)
		}
	}
	t.Fatalf("snapshot %s is not ready after %s", name, patience)
	return 0
}

// restoreSnapshot makes a claim and returns how long it took until it was Bound.
func (t *test) restoreSnapshot(name string) time.Duration {
	t.Helper()
	events, err := t.CoreV1().PersistentVolumeClaims(t.namespace).Watch(context.Background(), metav1.ListOptions{FieldSelector: "metadata.name=of-" + name})
	t.check(err)
	defer events.Stop()
	claim := newClaim("of-" + name)
	claim.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &volumeSnapshots.Group, Kind: "VolumeSnapshot", Name: name}
	t.createClaim(claim)
	return bindingTimes(t, events, 1)[0]
}
