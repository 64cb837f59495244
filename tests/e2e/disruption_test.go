//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// counting writes numbers that follow each other, each of them to the disk, and
// fails at the first that cannot be written.
const counting = `n=0
while n=$((n+1)); do
  echo $n | dd of=/data/log oflag=append conv=notrunc,fsync status=none
  sleep 0.02
done`

func writesGoOn(t *test) {
	before := map[string]*corev1.Pod{}
	for _, node := range t.nodes {
		t.createClaim(newClaim(node))
		p := newPod(node, node, counting)
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
	}
	for _, node := range t.nodes {
		before[node] = t.podRuns(node)
	}

	t.writesDuring("while the plugin's pods are replaced", t.nodes, func() {
		old := map[types.UID]bool{}
		for _, p := range t.plugins(t) {
			old[p.UID] = true
		}
		t.check(t.CoreV1().Pods(home).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: plugins.labels}))
		await(t, "new pods of the plugin run", pods, plugins, func(all []*corev1.Pod) error {
			for _, p := range all {
				if old[p.UID] {
					return fmt.Errorf("pod %s is still there", p.Name)
				}
				if err := running(p); err != nil {
					return err
				}
			}
			if len(all) != len(t.nodes) {
				return fmt.Errorf("there are %d", len(all))
			}
			return nil
		})
	})
	t.writesDuring("while the kubelets restart", t.nodes, func() {
		for _, node := range t.nodes {
			run(t, t.tool, "restart", "kubelet", node)
		}
	})

	for _, node := range t.nodes {
		after := t.podRuns(node)
		if after.UID != before[node].UID || after.Status.ContainerStatuses[0].RestartCount != 0 {
			t.Errorf("the writing pod on %s was started again", node)
		}
		// What is published now is published by the new plugin, and registered with the new kubelet.
		second := newPod("second-"+node, node, "")
		t.createPod(second)
		t.podRuns(second.Name)
		if first := t.exec(second.Name, "head", "-n1", "/data/log"); first != "1" {
			t.Errorf("a second pod on %s reads %q", node, first)
		}
	}
}

// writesDuring holds that the counting pods of these claims write without a gap
// before, during and after something.
func (t *test) writesDuring(what string, claims []string, something func()) {
	t.Helper()
	progress := func(claim string) int { return t.counted(filepath.Join(t.directory(claim), "log")) }
	began := map[string]int{}
	for _, claim := range claims {
		began[claim] = progress(claim)
	}
	something()
	for _, claim := range claims {
		ended := progress(claim)
		t.eventually("writes to "+claim+" go on", func() error {
			if progress(claim) <= ended {
				return errors.New("no more numbers came")
			}
			return nil
		})
		t.Logf("%s %d writes to %s", what, ended-began[claim], claim)
		if ended == began[claim] {
			t.Errorf("%s nothing was written to %s", what, claim)
		}
	}
}

// counted is the last number of a log, in which none may be missing.
func (t *test) counted(log string) int {
	t.Helper()
	data, err := os.ReadFile(log)
	t.check(err)
	return t.consecutive(log, string(data))
}

// consecutive is the last of numbers, in which none may be missing.
func (t *test) consecutive(log, text string) int {
	t.Helper()
	numbers := strings.Fields(text)
	for i, n := range numbers {
		if n != strconv.Itoa(i+1) {
			t.Fatalf("line %d of %s is %q", i+1, log, n)
		}
	}
	return len(numbers)
}

func pluginRegistersAgain(t *test) {
	node := t.nodes[0]
	folder := filepath.Join(t.files[node], "var/lib/kubelet/plugins_registry")
	registrations := func() int {
		for _, p := range t.plugins(t) {
			if p.Spec.NodeName == node {
				return strings.Count(t.pluginLog(&p), "registered with kubelet")
			}
		}
		return 0
	}
	before := registrations()
	sockets, err := os.ReadDir(folder)
	t.check(err)
	if len(sockets) == 0 {
		t.Fatalf("nothing is registered in %s", folder)
	}
	for _, socket := range sockets {
		t.check(os.Remove(filepath.Join(folder, socket.Name())))
	}
	t.eventually("kubelet registers the plugin again", func() error {
		if registrations() == before {
			return errors.New("the plugin's log shows no more registrations")
		}
		_, err := os.Stat(filepath.Join(folder, driver+"-reg.sock"))
		return err
	})
	await(t, "node "+node+" has the driver", csiNodes, named(node), one(func(n *storagev1.CSINode) error {
		for _, d := range n.Spec.Drivers {
			if d.Name == driver && len(d.TopologyKeys) == 1 && d.TopologyKeys[0] == topologyKey {
				return nil
			}
		}
		return fmt.Errorf("it has %v", n.Spec.Drivers)
	}))
	t.createClaim(newClaim("data"))
	p := newPod("data", "data", signed)
	p.Spec.NodeSelector = on(node)
	t.createPod(p)
	t.podRuns("data")
}

func powerCutKeepsData(t *test) {
	t.apply("statefulset.yaml")
	pages := map[string]string{}
	var lost *corev1.Pod
	for _, p := range t.setRuns("app=web", 2) {
		pages[p.Name] = t.content(t.directory("www-"+p.Name), "index.html")
		if p.Spec.NodeName == t.nodes[0] {
			lost = p
		}
	}
	run(t, t.tool, "stop", t.nodes[0])
	run(t, t.tool, "start", t.nodes[0])
	await(t, "the pod of the node runs again", pods, t.in(lost.Name), one(func(p *corev1.Pod) error {
		if p.UID == lost.UID && p.Status.ContainerStatuses[0].RestartCount == 0 {
			return errors.New("its state is the one before the power cut")
		}
		return running(p)
	}))
	await(t, "the plugin runs on both nodes", pods, plugins, func(all []*corev1.Pod) error {
		for _, p := range all {
			if p.Spec.NodeName == t.nodes[0] && p.Status.ContainerStatuses[0].RestartCount == 0 && p.CreationTimestamp.Time.Before(t.began) {
				return errors.New("its state is the one before the power cut")
			}
			if err := running(p); err != nil {
				return err
			}
		}
		return nil
	})
	for pod, page := range pages {
		t.podRuns(pod)
		if got := t.exec(pod, "wget", "-qO-", "http://127.0.0.1/index.html"); got != page {
			t.Errorf("after the power cut %s serves %q, before it %q", pod, got, page)
		}
		if mounted := t.exec(pod, "awk", `$2 == "/www"`, "/proc/mounts"); mounted == "" {
			t.Errorf("after the power cut /www of %s is no mount: the pod writes into its own container", pod)
		}
	}
}
