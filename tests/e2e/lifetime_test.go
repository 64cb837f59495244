//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func deletedClaimTakesDirectory(t *test) {
	t.createStatefulSet(newStatefulSet("db", 2, signed))
	t.setRuns("set=db", 2)
	var names, directories []string
	for _, claim := range []string{"data-db-0", "data-db-1"} {
		names = append(names, t.volumeOf(claim).Name)
		dir := t.directory(claim)
		t.content(dir, "id")
		directories = append(directories, dir)
	}

	// A StatefulSet leaves its claims behind, and so their data.
	t.check(t.AppsV1().StatefulSets(t.namespace).Delete(context.Background(), "db", metav1.DeleteOptions{}))
	await(t, "all pods are gone", pods, query{namespace: t.namespace}, none)
	for _, dir := range directories {
		t.content(dir, "id")
	}
	t.check(t.CoreV1().PersistentVolumeClaims(t.namespace).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	for i := range names {
		await(t, "volume "+names[i]+" is gone", volumes, named(names[i]), none)
		t.removed(directories[i])
	}
}

func retainedVolumeKeepsData(t *test) {
	t.apply("retain.yaml")
	await(t, "the pod has written and is done", pods, t.in("retain"), one(func(p *corev1.Pod) error {
		if p.Status.Phase != corev1.PodSucceeded {
			return fmt.Errorf("it is %s", p.Status.Phase)
		}
		return nil
	}))
	pv := t.volumeOf("retain")
	dir := t.directory("retain")
	kept := t.content(dir, "kept.txt")

	t.kubectl("delete", "-f", t.example("retain.yaml"))
	await(t, "the volume is released", volumes, named(pv.Name), one(released))
	if now := t.content(dir, "kept.txt"); now != kept {
		t.Errorf("kept.txt held %q, now %q", kept, now)
	}

	// The example says how to be rid of it.
	t.reclaim(pv.Name, corev1.PersistentVolumeReclaimDelete)
	await(t, "volume "+pv.Name+" is gone", volumes, named(pv.Name), none)
	t.removed(dir)
}

func ephemeralVolumeGoesWithPod(t *test) {
	t.apply("ephemeral.yaml")
	t.podRuns("scratch")
	pv := t.volumeOf("scratch-work")
	dir := t.directory("scratch-work")
	t.eventually("8 MiB are written", func() error {
		info, err := os.Stat(filepath.Join(dir, "part"))
		if err == nil && info.Size() != 8<<20 {
			err = fmt.Errorf("part has %d bytes", info.Size())
		}
		return err
	})
	t.deletePod("scratch")
	await(t, "the claim is gone", claims, t.in("scratch-work"), none)
	await(t, "volume "+pv.Name+" is gone", volumes, named(pv.Name), none)
	t.removed(dir)
}
