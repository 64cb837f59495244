//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/hostdir/hostdir/pkg/cli"
)

// rebuild runs `kubectl hostdir rebuild` for the test's namespace.
func (t *test) rebuild(args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"rebuild", "--namespace", t.namespace}, args...)
	status := cli.Run(context.Background(), "dev", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errs}, args)
	t.Logf("rebuild ends with %d:\n%s%s", status, &out, &errs)
	if status != cli.OK {
		t.Errorf("rebuild ends with %d", status)
	}
	return out.String(), errs.String()
}

// As if etcd were lost: nothing in Kubernetes knows the volumes, all data is there.
func lostVolumesAreRebuilt(t *test) {
	t.letDataGo()
	t.createStatefulSet(newStatefulSet("db", 2, signed))
	before := t.keptBy("set=db", 2)
	t.check(t.AppsV1().StatefulSets(t.namespace).Delete(context.Background(), "db", metav1.DeleteOptions{}))
	await(t, "the replicas are gone", pods, query{namespace: t.namespace}, none)
	was := map[string]*corev1.PersistentVolume{}
	for _, claim := range []string{"data-db-0", "data-db-1"} {
		v := t.volumeOf(claim)
		was[claim] = v
		t.reclaim(v.Name, corev1.PersistentVolumeReclaimRetain)
		t.deleteClaim(claim)
		t.check(t.CoreV1().PersistentVolumes().Delete(context.Background(), v.Name, metav1.DeleteOptions{}))
		await(t, "Kubernetes has forgotten "+v.Name, volumes, named(v.Name), none)
	}

	if plan, _ := t.rebuild("--claims", "--dry-run"); strings.Count(plan, "create") != 4 {
		t.Errorf("it would not create two PersistentVolumes and two claims:\n%s", plan)
	}
	t.rebuild("--claims", "--yes")
	for claim, old := range was {
		v := t.volumeOf(claim)
		if v.Name != old.Name || v.Spec.CSI.VolumeHandle != old.Spec.CSI.VolumeHandle || v.Spec.StorageClassName != old.Spec.StorageClassName || t.nodeOf(v) != t.nodeOf(old) ||
			v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			t.Errorf("claim %s is bound to %+v, it was to %+v", claim, v.Spec, old.Spec)
		}
	}
	t.createStatefulSet(newStatefulSet("db", 2, signed))
	if after := t.keptBy("set=db", 2); !maps.Equal(before, after) {
		t.Errorf("its replicas had %v, now %v", before, after)
	}
	if _, says := t.rebuild("--claims", "--yes"); !strings.Contains(says, "Nothing is to do.") {
		t.Errorf("once more, it says %q", says)
	}
}
