//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// examples/pools.yaml, as it says itself: a second pool on disks, which exist on
// one node at first.
func secondPoolServesDisks(t *test) {
	disk := "/mnt/hostdir/nvme-" + session
	without, with := t.nodes[0], t.nodes[1]
	t.mountDisk(with, disk)
	t.outside = append(t.outside, func() { t.install(t) })
	t.install(t, "--values", t.example("pools.yaml"))

	class := "hostdir-nvme"
	create := func(name string) {
		c := newClaim(name)
		c.Spec.StorageClassName = &class
		t.createClaim(c)
	}
	create("free")
	t.createPod(newPod("free", "free", signed))
	if p := t.podRuns("free"); p.Spec.NodeName != with {
		t.Errorf("the pod runs on %s, the only disk is on %s", p.Spec.NodeName, with)
	}
	link := filepath.Join(disk, "claims", t.namespace, "free/id")
	t.eventually("the pod's file is on the disk", func() error {
		if id := t.onNode(t, with, "sh", "-c", "cat "+link+" 2>&1 || true"); !strings.HasPrefix(id, "free ") {
			return fmt.Errorf("%s holds %q", link, id)
		}
		return nil
	})

	create("tied")
	tied := newPod("tied", "tied", signed)
	tied.Spec.NodeSelector = on(without)
	t.createPod(tied)
	await(t, "the scheduler sees no room on the node without a disk", pods, t.in("tied"), one(func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, "did not have enough free storage") {
				return nil
			}
		}
		return fmt.Errorf("it is %s, its conditions are %v", p.Status.Phase, p.Status.Conditions)
	}))
	if found := t.onNode(t, without, "sh", "-c", "ls -A "+disk+" 2>/dev/null || true"); found != "" {
		t.Errorf("without a disk there is on %s in %s: %s", without, disk, found)
	}
	before := t.plugins(t)
	t.mountDisk(without, disk)
	t.podRuns("tied") // once the provisioner has asked again for the room, each minute
	for _, p := range before {
		if now, err := t.CoreV1().Pods(home).Get(context.Background(), p.Name, metav1.GetOptions{}); err != nil || now.UID != p.UID {
			t.Errorf("the plugin was restarted to find the disk (%v)", err)
		}
	}
}

// mountDisk mounts a new disk in a node until the test has ended.
func (t *test) mountDisk(node, dir string) {
	t.Helper()
	d := t.makeDisk(t, node, dir, 256*mebibyte, "mkfs.ext4", "-q", "-F")
	t.outside = append(t.outside, func() { d.remove(t) })
}

func badConfigurationChangesNothing(t *test) {
	before := t.plugins(t)
	// Helm refuses what the chart's schema and templates know to be wrong.
	for values, want := range map[string]string{
		"pools[0].name=default,pools[0].paths[0]=/var/lib/hostdir,pools[0].reserve=plenty": "reserve",
		"pools[0].name=default,pools[0].paths[0]=var/lib/hostdir":                          "is not absolute",
		"poolz=1": "poolz",
	} {
		out, err := exec.Command("helm", "upgrade", "hostdir", t.chart(), "--namespace", home, "--reuse-values", "--set", values).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("helm upgrade --set %s: %v, want an error that says %q:\n%s", values, err, want, out)
		}
	}

	// The plugin refuses the rest, when somebody edits the ConfigMap.
	maps := t.CoreV1().ConfigMaps(home)
	good, err := maps.Get(context.Background(), "hostdir-node", metav1.GetOptions{})
	t.check(err)
	bad := good.DeepCopy()
	bad.Data["config.yaml"] += "colour: red\n"
	_, err = maps.Update(context.Background(), bad, metav1.UpdateOptions{FieldManager: "helm"})
	t.check(err)
	defer func() {
		good.ResourceVersion = ""
		_, err = maps.Update(context.Background(), good, metav1.UpdateOptions{FieldManager: "helm"})
		t.check(err)
	}()
	for _, p := range before {
		t.eventually("the plugin on "+p.Spec.NodeName+" refuses the configuration", func() error {
			log := t.pluginLog(&p)
			if !strings.Contains(log, "configuration refused") || !strings.Contains(log, "colour") {
				return fmt.Errorf("its log does not say so")
			}
			return nil
		})
	}
	t.createClaim(newClaim("data"))
	t.createPod(newPod("data", "data", signed))
	t.podRuns("data")
	for i, p := range t.plugins(t) {
		if p.UID != before[i].UID || p.Status.ContainerStatuses[0].RestartCount != before[i].Status.ContainerStatuses[0].RestartCount {
			t.Errorf("the plugin on %s was restarted", p.Spec.NodeName)
		}
	}
}
