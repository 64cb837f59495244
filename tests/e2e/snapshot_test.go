//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// knowSnapshots makes the cluster one that knows snapshots.
func (c *cluster) knowSnapshots(t testing.TB) {
	t.Helper()
	crds := strings.Fields(run(t, "kubectl", "apply", "-o", "name", "-k", run(t, c.tool, "snapshot-crds")))
	run(t, "kubectl", append([]string{"wait", "--for=condition=Established", "--timeout=1m"}, crds...)...)
}

// snapshot makes a VolumeSnapshot of a claim, of the default class.
func (t *test) snapshot(name, claim string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshot.json")
	t.check(os.WriteFile(file, fmt.Appendf(nil, `{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": %q},
		"spec": {"source": {"persistentVolumeClaimName": %q}}
	}`, name, claim), 0o600))
	t.kubectl("create", "-f", file)
}

// snapshotReady waits until a VolumeSnapshot can be restored.
func (t *test) snapshotReady(name string) {
	t.Helper()
	t.kubectl("wait", "volumesnapshots/"+name, "--for=jsonpath={.status.readyToUse}=true", "--timeout", patience.String())
}

// ballast leaves less room on a node than there is on the others.
func (t *test) ballast(node string) {
	t.Helper()
	c := newClaim("ballast")
	c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
	t.createClaim(c)
	p := newPod("ballast", "ballast", "")
	p.Spec.NodeSelector = on(node)
	t.createPod(p)
	t.podRuns("ballast")
}

// snapshotIsRestored restores where the snapshot is, also when there is more room
// elsewhere, and what it held when it was made.
func snapshotIsRestored(t *test) {
	t.apply("statefulset.yaml")
	t.setRuns("app=web", 2)
	node := t.nodeOf(t.volumeOf("www-web-0"))
	page := t.content(t.directory("www-web-0"), "index.html")

	t.ballast(node)
	t.apply("snapshot.yaml")
	t.snapshotReady("web-0")
	t.exec("web-0", "sh", "-c", "echo overwritten > /www/index.html")
	t.apply("restore.yaml")
	if got := t.podRuns("restored").Spec.NodeName; got != node {
		t.Errorf("the snapshot is on %s, the pod that restores it runs on %s", node, got)
	}
	if got := t.nodeOf(t.volumeOf("restored")); got != node {
		t.Errorf("the snapshot is on %s, the restored volume on %s", node, got)
	}
	if got := t.content(t.directory("restored"), "index.html"); got != page {
		t.Errorf("restored is %q, the snapshot was made of %q", got, page)
	}

	// Neither needs the other.
	t.kubectl("delete", "volumesnapshots/web-0", "--timeout", patience.String())
	if got := t.kubectl("logs", "restored"); got != page {
		t.Errorf("the pod reads %q, the snapshot was made of %q", got, page)
	}
}

// bareClaimsAreRestored restores ten claims at once that no pod uses yet, as tools for
// backups do, while the other node has more room; then a pod comes for one.
func bareClaimsAreRestored(t *test) {
	t.createStatefulSet(newStatefulSet("db", 1, signed))
	t.podRuns("db-0")
	node, id := t.nodeOf(t.volumeOf("data-db-0")), t.content(t.directory("data-db-0"), "id")
	t.ballast(node)
	t.snapshot("db", "data-db-0")
	t.snapshotReady("db")

	group := "snapshot.storage.k8s.io"
	var names []string
	for i := range 10 {
		c := newClaim(fmt.Sprintf("bare-%d", i))
		c.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "db"}
		t.createClaim(c)
		names = append(names, c.Name)
	}
	for _, name := range names {
		if got := t.nodeOf(t.volumeOf(name)); got != node {
			t.Errorf("the snapshot is on %s, %s on %s", node, name, got)
		}
		if got := t.content(t.directory(name), "id"); got != id {
			t.Errorf("%s holds %q, the snapshot was made of %q", name, got, id)
		}
	}
	t.createPod(newPod("reader", names[0], signed))
	if got := t.podRuns("reader"); got.Spec.NodeName != node || t.exec("reader", "cat", "/data/id") != id {
		t.Errorf("the pod that came for a restored claim runs on %s, not on %s with its data", got.Spec.NodeName, node)
	}
}

// snapshotComesBack makes the objects of a snapshot anew, under another name, by its handle
// alone, as backup tools do, and people who have lost them.
func snapshotComesBack(t *test) {
	t.createClaim(newClaim("data"))
	t.createPod(newPod("writer", "data", signed))
	node, id := t.podRuns("writer").Spec.NodeName, t.content(t.directory("data"), "id")
	t.takeSnapshot("first", "data")
	content := t.kubectl("get", "volumesnapshots/first", "-o", "jsonpath={.status.boundVolumeSnapshotContentName}")
	handle := t.kubectl("get", "volumesnapshotcontents/"+content, "-o", "jsonpath={.status.snapshotHandle}")
	file := filepath.Join(t.TempDir(), "again.yaml")
	t.check(os.WriteFile(file, fmt.Appendf(nil, `
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotContent
metadata: {name: %[1]s-again}
spec:
  driver: csi.hostdir.io
  deletionPolicy: Retain
  source: {snapshotHandle: %[2]s}
  volumeSnapshotRef: {namespace: %[1]s, name: again}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: again}
spec:
  source: {volumeSnapshotContentName: %[1]s-again}
`, t.namespace, handle), 0o600))
	t.kubectl("apply", "-f", file)
	t.outside = append(t.outside, func() { t.kubectl("delete", "volumesnapshotcontents/"+t.namespace+"-again", "--ignore-not-found") })
	t.snapshotReady("again")
	t.restoreSnapshot("again")
	if got := t.nodeOf(t.volumeOf("of-again")); got != node {
		t.Errorf("the snapshot is on %s, the restored volume on %s", node, got)
	}
	if got := t.content(t.directory("of-again"), "id"); got != id {
		t.Errorf("restored is %q, the snapshot was made of %q", got, id)
	}
}

func claimIsCloned(t *test) {
	t.apply("statefulset.yaml")
	t.setRuns("app=web", 2)
	t.apply("clone.yaml")
	node, page := t.nodeOf(t.volumeOf("www-web-1")), t.content(t.directory("www-web-1"), "index.html")
	if got := t.podRuns("cloned").Spec.NodeName; got != node {
		t.Errorf("the claim is on %s, the pod that clones it runs on %s", node, got)
	}
	if got := t.content(t.directory("cloned"), "index.html"); got != page {
		t.Errorf("cloned is %q, the claim holds %q", got, page)
	}
}

// snapshotsArePruned runs the example two nights after each other, with one snapshot of
// each claim to be kept.
func snapshotsArePruned(t *test) {
	t.apply("statefulset.yaml")
	t.setRuns("app=web", 2)
	t.apply("snapshot-nightly.yaml")
	t.kubectl("set", "env", "cronjobs/snapshot-nightly", "KEEP=1")
	night := func(name string) {
		t.kubectl("create", "job", name, "--from=cronjobs/snapshot-nightly")
		t.kubectl("wait", "jobs/"+name, "--for=condition=Complete", "--timeout", patience.String())
	}
	names := func() []string {
		return strings.Fields(t.kubectl("get", "volumesnapshots", "-o", "jsonpath={.items[*].metadata.name}"))
	}
	night("first")
	first := names()
	if len(first) != 2 {
		t.Fatalf("of two claims there are the snapshots %q", first)
	}
	for _, name := range first {
		t.snapshotReady(name)
	}
	night("second") // its own snapshots are not ready yet when it prunes, or are: then the first go
	for _, name := range names() {
		t.snapshotReady(name)
	}
	night("third")
	for _, name := range first {
		t.kubectl("wait", "volumesnapshots/"+name, "--for=delete", "--timeout", patience.String())
	}
	for _, claim := range []string{"www-web-0", "www-web-1"} {
		if left := strings.Fields(t.kubectl("get", "volumesnapshots", "-l", "nightly="+claim, "-o", "jsonpath={.items[*].metadata.name}")); len(left) == 0 || len(left) > 2 {
			t.Errorf("of %s the snapshots %q are left", claim, left)
		}
	}
}
