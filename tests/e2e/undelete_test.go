//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func mistakenDeletionIsUndone(t *test) {
	t.outside = append(t.outside, t.emptyTrash)
	t.apply("undelete.yaml")
	t.podRuns("precious")
	pv, dir := t.volumeOf("precious"), t.directory("precious")
	node := t.nodeOf(pv)
	line := t.content(dir, "line")

	t.kubectl("delete", "pod/precious", "pvc/precious")
	await(t, "the volume is gone from Kubernetes", volumes, named(pv.Name), none)
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("the volume is deleted, yet %s is there", dir)
	}
	t.inTrash(node, pv.Name)

	t.undelete(node, t.namespace+"/precious", "--storage-class", "hostdir-trash")
	again := func() { t.kubectl("apply", "-f", t.example("undelete.yaml")) }
	again()
	t.runsAtVolume("precious", pv, again)
	back := t.volumeOf("precious")
	if back.Name != pv.Name || back.Spec.CSI.VolumeHandle != pv.Spec.CSI.VolumeHandle || t.nodeOf(back) != node {
		t.Errorf("the claim is bound to %s (%s), it was to %s (%s)", back.Name, back.Spec.CSI.VolumeHandle, pv.Name, pv.Spec.CSI.VolumeHandle)
	}
	if now := t.exec("precious", "cat", "/data/line"); now != line {
		t.Errorf("the pod finds %q, before the mistake there was %q", now, line)
	}
	if left := t.trashed(node); len(left) > 0 {
		t.Errorf("the volume is back, yet in the trash are %v", left)
	}

	// The same mistake again: now the volume is retained.
	if policy := back.Spec.PersistentVolumeReclaimPolicy; policy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("the volume that was brought back has the policy %s", policy)
	}
	t.kubectl("delete", "pod/precious", "pvc/precious")
	await(t, "the volume is released", volumes, named(pv.Name), one(released))
	t.content(dir, "line")
	t.reclaim(pv.Name, corev1.PersistentVolumeReclaimDelete) // as the example says
	await(t, "the volume is gone again", volumes, named(pv.Name), none)
}

// A StatefulSet makes a deleted claim anew, with an empty volume, before anybody
// can bring the old one back.
func replicaFindsUndeletedData(t *test) {
	class := t.createClass(map[string]string{"trashTTL": "24h"})
	t.outside = append(t.outside, t.emptyTrash)
	set := newStatefulSet("db", 1, signed)
	set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &class
	set.Spec.Template.Spec.NodeSelector = on(t.nodes[0]) // the new volume is where the old one is
	t.createStatefulSet(set)
	t.podRuns("db-0")
	lost := t.volumeOf("data-db-0")
	node := t.nodeOf(lost)
	id := t.content(t.directory("data-db-0"), "id")

	t.kubectl("delete", "--wait=false", "pvc/data-db-0")
	t.kubectl("delete", "pod/db-0")
	await(t, "the replica has an empty volume instead", claims, t.in("data-db-0"), one(func(c *corev1.PersistentVolumeClaim) error {
		if c.Status.Phase != corev1.ClaimBound || c.Spec.VolumeName == lost.Name {
			return fmt.Errorf("it is %s to %s", c.Status.Phase, c.Spec.VolumeName)
		}
		return nil
	}))
	t.podRuns("db-0")
	if now := t.content(t.directory("data-db-0"), "id"); now == id {
		t.Errorf("before it is brought back the replica has its old data, %q", now)
	}
	t.inTrash(node, lost.Name)

	empty := t.volumeOf("data-db-0").Name
	t.scale("db", 0)
	await(t, "the replica is gone", pods, t.in("db-0"), none)
	t.deleteClaim("data-db-0")
	await(t, "the empty volume is gone", volumes, named(empty), none)
	// Both are of this claim.
	if _, err := t.hostdir(t, node, "undelete", t.namespace+"/data-db-0"); err == nil ||
		!strings.Contains(err.Error(), lost.Name+".") || !strings.Contains(err.Error(), empty+".") {
		t.Errorf("two deleted volumes have the claim's name; `hostdir undelete` should name both, but says: %v", err)
	}
	t.undelete(node, lost.Name, "--storage-class", class)
	t.scale("db", 1)
	t.podRuns("db-0")
	if now := t.volumeOf("data-db-0").Name; now != lost.Name {
		t.Errorf("the claim is bound to %s, brought back was %s", now, lost.Name)
	}
	if now := t.exec("db-0", "cat", "/data/id"); now != id {
		t.Errorf("the replica finds %q, before the mistake there was %q", now, id)
	}
	t.reclaim(lost.Name, corev1.PersistentVolumeReclaimDelete)
}

// undelete brings a deleted volume back and applies the PersistentVolume that
// hostdir prints.
func (t *test) undelete(node string, args ...string) {
	t.Helper()
	manifest, err := t.hostdir(t, node, append([]string{"undelete"}, args...)...)
	t.check(err)
	file := filepath.Join(t.TempDir(), "volume.yaml")
	t.check(os.WriteFile(file, []byte(manifest), 0o600))
	t.kubectl("apply", "-f", file)
}

// discarded is a deleted volume, as `hostdir trash -o json` shows it.
type discarded struct {
	Entry, Name string
	Claim       struct{ Namespace, Name string }
}

// trashed are the deleted volumes on a node that were of the test's claims.
func (t *test) trashed(node string) (ours []discarded) {
	t.Helper()
	out, err := t.hostdir(t, node, "trash", "-o", "json")
	t.check(err)
	var trash struct{ Volumes []discarded }
	t.check(json.Unmarshal([]byte(out), &trash))
	for _, d := range trash.Volumes {
		if d.Claim.Namespace == t.namespace {
			ours = append(ours, d)
		}
	}
	return ours
}

// inTrash holds that `hostdir trash` shows a volume, and for which claim it was.
func (t *test) inTrash(node, volume string) {
	t.Helper()
	table, err := t.hostdir(t, node, "trash")
	t.check(err)
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == volume && strings.HasPrefix(f[0], t.namespace+"/") {
			t.Log(strings.TrimSpace(line))
			return
		}
	}
	t.Errorf("`hostdir trash` on %s does not show %s:\n%s", node, volume, table)
}

// emptyTrash purges what was deleted of the test's claims, and waits until it is gone.
func (t *test) emptyTrash() {
	t.Helper()
	for _, node := range t.nodes {
		t.eventually("the trash on "+node+" is empty", func() error {
			var left error
			for _, d := range t.trashed(node) {
				_, err := t.hostdir(t, node, "purge", "--yes", d.Entry) // which may be gone by now
				left = errors.Join(left, fmt.Errorf("in it is %v: %v", d, err))
			}
			return left
		})
	}
}

// reclaim changes what becomes of a volume when its claim is deleted.
func (t *test) reclaim(volume string, policy corev1.PersistentVolumeReclaimPolicy) {
	t.Helper()
	_, err := t.CoreV1().PersistentVolumes().Patch(context.Background(), volume, types.MergePatchType,
		[]byte(`{"spec":{"persistentVolumeReclaimPolicy":"`+string(policy)+`"}}`), metav1.PatchOptions{})
	t.check(err)
}
