//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// diskPool is the base directory of the pool "disk": on each node the mount
// point of a disk that the tests take away.
const diskPool = "/mnt/hostdir/disk"

// noDisk are the ways in which hostdir says that the disk is not mounted. It
// looks every ten seconds, and before each call.
var noDisk = []string{
	"base directory " + diskPool + ": no disk is mounted there",
	"base directory " + diskPool + ": its pool.json is gone: is the disk mounted?",
}

// installDisks installs the chart with the pool "disk", until the test ends.
func (c *cluster) installDisks(t *testing.T) {
	t.Helper()
	for _, node := range c.nodes {
		d := c.makeDisk(t, node, diskPool, 256*mebibyte, "mkfs.ext4", "-q", "-F")
		t.Cleanup(func() { d.remove(t) })
	}
	t.Cleanup(func() { c.install(t) })
	c.install(t, "--set", "pools[0].name=default,pools[0].paths[0]="+pool,
		"--set", "pools[1].name=disk,pools[1].paths[0]="+diskPool+",pools[1].requireMountPoint=true")
}

// losable is the disk of a node, which the test may unmount, and the node, which
// it may stop: both are there again before the test's volumes are deleted.
func (t *test) losable(node string) disk {
	t.Helper()
	d := disk{t.cluster, node, diskPool}
	t.Cleanup(func() {
		t.explain()
		run(t, t.tool, "start", node)
		d.restore(t)
	})
	return d
}

// resuming writes numbers that follow each other, each of them to the disk, and
// goes on where an earlier pod has ended.
const resuming = `n=$(tail -n1 /data/numbers 2>/dev/null || echo 0)
while n=$((n+1)); do
  echo $n | dd of=/data/numbers oflag=append conv=notrunc,fsync status=none
  sleep 0.05
done`

// numbers is the last number that a resuming pod reads in its volume.
func (t *test) numbers(pod string) int {
	t.Helper()
	return t.consecutive("/data/numbers of "+pod, t.exec(pod, "cat", "/data/numbers"))
}

func (t *test) writesOn(pod string) {
	t.Helper()
	before := t.numbers(pod)
	t.eventually(pod+" reads and writes on", func() error {
		if now := t.numbers(pod); now <= before {
			return fmt.Errorf("it wrote %d, before %d", now, before)
		}
		return nil
	})
}

func idleDiskMayGo(t *test) {
	node := t.nodes[0]
	d := t.losable(node)
	before := t.plugin(t, node)
	class := t.createClass(map[string]string{"pool": "disk"})
	t.createClaim(sized("data", class, 16*mebibyte))
	p := newPod("data", "data", resuming)
	p.Spec.NodeSelector = on(node)
	t.createPod(p.DeepCopy())
	t.podRuns("data")
	t.writesOn("data")

	// Under a pod: it keeps its own mount of the volume.
	d.unmount(t)
	t.poolIs(node, "unusable")
	t.writesOn("data")
	d.mount(t)
	t.poolIs(node, "ready")
	t.writesOn("data")

	// Nobody has a mount of it: the disk is gone altogether.
	t.deletePod("data")
	d.unmount(t)
	t.poolIs(node, "unusable")
	if devices := t.onNode(t, node, "losetup", "--associated", d.image()); devices != "" {
		t.Errorf("the disk is unmounted and no pod uses it, yet it is in use: %s", devices)
	}
	d.mount(t)
	t.poolIs(node, "ready")
	t.createPod(p)
	t.podRuns("data")
	t.writesOn("data")
	t.sameProcess(before)
}

func absentDiskLosesNothing(t *test) {
	node, other := t.nodes[0], t.nodes[1]
	d := t.losable(node)
	class := t.createClass(map[string]string{"pool": "disk"})
	set := newStatefulSet("db", 2, resuming)
	set.Spec.Template.Spec.Affinity = apart(set.Spec.Template.Labels)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, 16*mebibyte)}
	t.createStatefulSet(set)
	var hit, spared *corev1.Pod // the replica whose disk goes, and the other one
	for _, p := range t.setRuns("set=db", 2) {
		if p.Spec.NodeName == node {
			hit = p
		} else {
			spared = p
		}
	}
	kept := []string{t.volumeOf("data-" + hit.Name).Name, t.volumeOf("data-" + spared.Name).Name}
	deleted := map[string]string{} // volumes of claims that are deleted while the disk is away
	for _, claim := range []string{"early", "late"} {
		t.createClaim(sized(claim, class, 16*mebibyte))
		p := newPod(claim, claim, signed)
		p.Spec.NodeSelector = on(node)
		t.createPod(p)
		t.podRuns(claim)
		t.deletePod(claim)
		deleted[claim] = t.volumeOf(claim).Name
		kept = append(kept, deleted[claim])
	}

	d.unmount(t)
	t.poolIs(node, "unusable")
	t.poolIs(other, "ready")
	t.writesOn(hit.Name)
	t.newClaimsAvoid(node, class)
	t.check(t.CoreV1().Pods(t.namespace).Delete(context.Background(), hit.Name, metav1.DeleteOptions{}))
	t.told(t.namespace, hit.Name, t.began, noDisk)
	t.deleteClaim("early")
	t.told("", deleted["early"], t.began, noDisk)
	t.nothingAstray(d, kept)

	// The node starts without the disk.
	run(t, t.tool, "stop", node)
	run(t, t.tool, "start", node)
	started := time.Now()
	t.poolIs(node, "unusable")
	t.told(t.namespace, hit.Name, started, noDisk)
	t.deleteClaim("late")
	for _, name := range deleted {
		t.told("", name, started, noDisk)
	}
	t.nothingAstray(d, kept)

	plugin := t.plugin(t, node)
	d.mount(t)
	mounted := time.Now()
	t.poolIs(node, "ready")
	t.podRuns(hit.Name)
	t.Logf("%s runs again %.1f s after the disk was mounted", hit.Name, time.Since(mounted).Seconds())
	t.writesOn(hit.Name)
	t.podRuns("tied")
	t.Logf("a pod with a new claim runs after %.1f s", time.Since(mounted).Seconds())
	for claim, name := range deleted {
		await(t, "the volume of the deleted claim "+claim+" goes", volumes, named(name), none)
		t.Logf("the volume of the claim %s is deleted after %.1f s", claim, time.Since(mounted).Seconds())
		t.eventually("its directory goes as well", func() error {
			if left := t.onNode(t, node, "find", diskPool, "-maxdepth", "2", "-name", name+"*"); left != "" {
				return fmt.Errorf("there still is %s", left)
			}
			return nil
		})
	}
	t.sameProcess(plugin)
	t.writesOn(spared.Name)
	if now := t.podRuns(spared.Name); now.UID != spared.UID || now.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Error("the replica on the other node was started again")
	}
}

// poolIs waits until `hostdir pools` and the metrics of a node say that its disk
// is in this state, ready or unusable.
func (t *test) poolIs(node, state string) {
	t.Helper()
	up := map[string]string{"ready": "1", "unusable": "0"}[state]
	t.eventually("pool disk is "+state+" on "+node, func() error {
		table, err := t.hostdir(t, node, "pools")
		if failed := err != nil; failed != (state == "unusable") {
			return fmt.Errorf("`hostdir pools` ends with %v", err)
		}
		for line := range strings.Lines(table) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "disk" && f[1] == diskPool && f[2] != state {
				return fmt.Errorf("`hostdir pools` says %s", line)
			}
		}
		if reason := diskPool + ": unusable: "; strings.Contains(table, reason) != (state == "unusable") {
			return fmt.Errorf("`hostdir pools` says why a pool is unusable if it is, and only then: %s", table)
		}
		return t.metricIs(node, `hostdir_base_up{pool="disk",path="`+diskPool+`"}`, up)
	})
}

// newClaimsAvoid holds that a claim that is free to goes to another node, and
// one that is tied to this one waits and says why. The pod "tied" is left waiting.
func (t *test) newClaimsAvoid(node, class string) {
	t.Helper()
	for _, name := range []string{"free", "tied"} {
		t.createClaim(sized(name, class, 16*mebibyte))
		p := newPod(name, name, signed)
		if name == "tied" {
			p.Spec.NodeSelector = on(node)
		}
		t.createPod(p)
	}
	if p := t.podRuns("free"); p.Spec.NodeName == node {
		t.Errorf("a new claim was bound on %s, where the disk is away", node)
	}
	// Until it has asked again, once a minute, the provisioner believes in the
	// room that was there, and so hears of the disk.
	t.told(t.namespace, "tied", t.began, append([]string{"did not have enough free storage"}, noDisk...))
	await(t, "the scheduler sees no room on the node", pods, t.in("tied"), one(func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, "did not have enough free storage") {
				return nil
			}
		}
		return fmt.Errorf("it is %s, its conditions are %v", p.Status.Phase, p.Status.Conditions)
	}))
}

// nothingAstray holds that all volumes are known to Kubernetes, that nothing is
// beneath the disk's mount point, and that no node has on its own filesystem what
// resuming pods write.
func (t *test) nothingAstray(d disk, kept []string) {
	t.Helper()
	for _, name := range kept {
		if _, err := t.CoreV1().PersistentVolumes().Get(context.Background(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("while the disk is away a volume is lost: %v", err)
		}
	}
	if err := d.beneath(); err != nil {
		t.Error(err)
	}
	for _, files := range t.files {
		err := filepath.WalkDir(files, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Base(path) == "numbers" {
				t.Errorf("data for a disk is in %s", path)
			}
			if errors.Is(err, fs.ErrNotExist) { // nodes are alive
				err = nil
			}
			return err
		})
		t.check(err)
	}
}

func (t *test) deleteClaim(name string) {
	t.Helper()
	t.check(t.CoreV1().PersistentVolumeClaims(t.namespace).Delete(context.Background(), name, metav1.DeleteOptions{}))
	await(t, "claim "+name+" is gone", claims, t.in(name), none)
}
