//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	driver      = "csi.hostdir.io"
	topologyKey = "csi.hostdir.io/node"
)

// running is met when a pod runs and is ready.
func running(p *corev1.Pod) error {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
			return nil
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			return fmt.Errorf("pod %s waits for a node: %s", p.Name, c.Message)
		}
	}
	return fmt.Errorf("pod %s on %s is %s", p.Name, p.Spec.NodeName, p.Status.Phase)
}

// podRuns waits until a pod runs.
func (t *test) podRuns(name string) *corev1.Pod {
	t.Helper()
	return await(t, "pod "+name+" runs", pods, t.in(name), one(running))[0]
}

// setRuns waits until exactly so many replicas of a StatefulSet run.
func (t *test) setRuns(selector string, replicas int) []*corev1.Pod {
	t.Helper()
	return await(t, fmt.Sprintf("%d pods %s run", replicas, selector), pods, query{namespace: t.namespace, labels: selector},
		func(all []*corev1.Pod) error {
			for _, p := range all {
				if err := running(p); err != nil {
					return err
				}
			}
			if len(all) != replicas {
				return fmt.Errorf("there are %d pods", len(all))
			}
			return nil
		})
}

// podComesBack deletes a pod and waits until another one of its name runs.
func (t *test) podComesBack(name string) *corev1.Pod {
	t.Helper()
	old := t.podRuns(name)
	t.check(t.CoreV1().Pods(t.namespace).Delete(context.Background(), name, metav1.DeleteOptions{}))
	return await(t, "another pod "+name+" runs", pods, t.in(name), one(func(p *corev1.Pod) error {
		if p.UID == old.UID {
			return errors.New("the old pod is still there")
		}
		return running(p)
	}))[0]
}

// deletePod deletes a pod and waits until it is gone.
func (t *test) deletePod(name string) {
	t.Helper()
	t.check(t.CoreV1().Pods(t.namespace).Delete(context.Background(), name, metav1.DeleteOptions{}))
	await(t, "pod "+name+" is gone", pods, t.in(name), none)
}

// volumeOf waits until a claim is bound and returns its volume.
func (t *test) volumeOf(claim string) *corev1.PersistentVolume {
	t.Helper()
	c := await(t, "claim "+claim+" is bound", claims, t.in(claim), one(func(c *corev1.PersistentVolumeClaim) error {
		if c.Status.Phase != corev1.ClaimBound {
			return fmt.Errorf("it is %s", c.Status.Phase)
		}
		return nil
	}))[0]
	pv, err := t.CoreV1().PersistentVolumes().Get(context.Background(), c.Spec.VolumeName, metav1.GetOptions{})
	t.check(err)
	return pv
}

// released is met when a volume has lost its claim and waits for what becomes of it.
func released(pv *corev1.PersistentVolume) error {
	if pv.Status.Phase != corev1.VolumeReleased {
		return fmt.Errorf("it is %s", pv.Status.Phase)
	}
	return nil
}

// nodeOf is the one node that a volume is tied to.
func (t *test) nodeOf(pv *corev1.PersistentVolume) string {
	t.Helper()
	affinity := pv.Spec.NodeAffinity
	if affinity == nil || affinity.Required == nil || len(affinity.Required.NodeSelectorTerms) != 1 ||
		len(affinity.Required.NodeSelectorTerms[0].MatchExpressions) != 1 {
		t.Fatalf("volume %s is not tied to one node: %v", pv.Name, affinity)
	}
	e := affinity.Required.NodeSelectorTerms[0].MatchExpressions[0]
	if e.Key != topologyKey || e.Operator != corev1.NodeSelectorOpIn || len(e.Values) != 1 || t.files[e.Values[0]] == "" {
		t.Fatalf("volume %s is not tied to a node of the cluster by %s: %v", pv.Name, topologyKey, e)
	}
	return e.Values[0]
}

// directory is where on this machine a bound claim's data is: what the link
// for people leads to.
func (t *test) directory(claim string) string {
	t.Helper()
	link := filepath.Join(t.files[t.nodeOf(t.volumeOf(claim))], pool, "claims", t.namespace, claim)
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		t.Fatalf("claim %s is bound, but its link leads nowhere: %v", claim, err)
	}
	return dir
}

// deleteClaim deletes a claim and waits until it is gone.
func (t *test) deleteClaim(name string) {
	t.Helper()
	t.check(t.CoreV1().PersistentVolumeClaims(t.namespace).Delete(context.Background(), name, metav1.DeleteOptions{}))
	await(t, "claim "+name+" is gone", claims, t.in(name), none)
}

// content waits until a file is there and returns what is in it.
func (t *test) content(dir, name string) string {
	t.Helper()
	var data []byte
	t.eventually(name+" is written", func() (err error) {
		data, err = os.ReadFile(filepath.Join(dir, name))
		if err == nil && len(data) == 0 {
			err = errors.New("it is empty")
		}
		return err
	})
	return strings.TrimSpace(string(data))
}

// removed waits until a volume's directory is gone, from the trash as well.
func (t *test) removed(data string) {
	t.Helper()
	volume := filepath.Dir(data)
	base := filepath.Dir(filepath.Dir(volume))
	t.eventually(volume+" and what is in the trash of it are gone", func() error {
		if _, err := os.Lstat(volume); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is still there (%v)", err)
		}
		trash, err := filepath.Glob(filepath.Join(base, "trash", filepath.Base(volume)+"*"))
		if err == nil && len(trash) > 0 {
			err = fmt.Errorf("the trash holds %q", trash)
		}
		return err
	})
}
