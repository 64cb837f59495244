//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

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

// An absence is what happens while a pool's disk is away on one node, on which
// there are a replica of a StatefulSet and two claims that no pod uses.
type absence struct {
	*test
	pool        diskPool
	disk        disk
	class       string
	hit, spared *corev1.Pod       // the replica whose disk goes, and the one on the other node
	unused      map[string]string // the volumes of the claims "early" and "late"
	tied        []string          // pods that wait for the disk with new claims
	restarted   time.Time
}

// loseDisk unmounts the disk on the first node, under a StatefulSet.
func (t *test) loseDisk(p diskPool) *absence {
	t.Helper()
	node := t.nodes[0]
	a := &absence{test: t, pool: p, disk: t.losable(p, node), unused: map[string]string{}}
	a.class = t.createClass(map[string]string{"pool": p.name})
	set := newStatefulSet("db", 2, resuming)
	set.Spec.Template.Spec.Affinity = apart(set.Spec.Template.Labels)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", a.class, 16*mebibyte)}
	t.createStatefulSet(set)
	for _, pod := range t.setRuns("set=db", 2) {
		if pod.Spec.NodeName == node {
			a.hit = pod
		} else {
			a.spared = pod
		}
	}
	for _, claim := range []string{"early", "late"} {
		a.createPodWithClaim(claim, on(node))
		t.podRuns(claim)
		t.deletePod(claim)
		a.unused[claim] = t.volumeOf(claim).Name
	}
	a.disk.unmount(t)
	return a
}

func (a *absence) createPodWithClaim(name string, selector map[string]string) {
	a.Helper()
	a.createClaim(sized(name, a.class, 16*mebibyte))
	p := newPod(name, name, signed)
	p.Spec.NodeSelector = selector
	a.createPod(p)
}

// newClaimsAvoid holds that a claim that is free to goes to another node, and
// one that is tied to this one waits and says why. It is left waiting.
func (a *absence) newClaimsAvoid() {
	a.Helper()
	n := fmt.Sprint(len(a.tied) + 1)
	free, tied := "free-"+n, "tied-"+n
	a.tied = append(a.tied, tied)
	began := time.Now()
	a.createPodWithClaim(free, nil)
	a.createPodWithClaim(tied, on(a.disk.node))
	if p := a.podRuns(free); p.Spec.NodeName == a.disk.node {
		a.Errorf("a new claim was bound on %s, where the disk is away", p.Spec.NodeName)
	}
	a.why(tied, why.DiskAbsent)
	// Until it has asked again, once a minute, the provisioner believes in the
	// room that was there, and so hears of the disk.
	const noRoom = "did not have enough free storage"
	a.warned(a.namespace, tied, began, append(a.pool.says(), noRoom))
	await(a.test, "the scheduler sees no room on the node", pods, a.in(tied), one(func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, noRoom) {
				return nil
			}
		}
		return fmt.Errorf("it is %s, its conditions are %v", p.Status.Phase, p.Status.Conditions)
	}))
}

// replicaWaits deletes the replica's pod: the next one waits, and says why.
func (a *absence) replicaWaits(since time.Time) {
	a.Helper()
	a.check(a.CoreV1().Pods(a.namespace).Delete(context.Background(), a.hit.Name, metav1.DeleteOptions{}))
	a.warned(a.namespace, a.hit.Name, since, a.pool.says())
	a.why("pod/"+a.hit.Name, why.DiskAbsent)
}

// deletionWaits deletes a claim: its volume stays, and says why.
func (a *absence) deletionWaits(claim string, since time.Time) {
	a.Helper()
	a.deleteClaim(claim)
	a.warned("", a.unused[claim], since, a.pool.says())
	a.why(claim, why.DiskAbsent)
}

// restartNode starts the node without the disk.
func (a *absence) restartNode() {
	a.Helper()
	run(a, a.tool, "stop", a.disk.node)
	run(a, a.tool, "start", a.disk.node)
	a.restarted = time.Now()
	a.poolIs(a.pool, a.disk.node, "unusable")
	a.warned(a.namespace, a.hit.Name, a.restarted, a.pool.says())
}

// nothingAstray holds that all volumes are known to Kubernetes, that nothing is
// beneath the disk's mount point, and that no node has on its own filesystem what
// resuming pods write.
func (a *absence) nothingAstray() {
	a.Helper()
	claims := []string{"data-" + a.hit.Name, "data-" + a.spared.Name}
	names := []string{a.unused["early"], a.unused["late"]}
	for _, claim := range claims {
		names = append(names, a.volumeOf(claim).Name)
	}
	for _, name := range names {
		if _, err := a.CoreV1().PersistentVolumes().Get(context.Background(), name, metav1.GetOptions{}); err != nil {
			a.Errorf("while the disk is away a volume is lost: %v", err)
		}
	}
	if err := a.disk.beneath(); err != nil {
		a.Error(err)
	}
	for _, files := range a.files {
		err := filepath.WalkDir(files, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Base(path) == "numbers" {
				a.Errorf("data for a disk is in %s", path)
			}
			if errors.Is(err, fs.ErrNotExist) { // nodes are alive
				err = nil
			}
			return err
		})
		a.check(err)
	}
}

// diskReturns mounts the disk: all that waited goes on by itself.
func (a *absence) diskReturns() {
	a.Helper()
	node := a.disk.node
	plugin := a.plugin(a, node)
	a.disk.mount(a)
	mounted := time.Now()
	after := func(what string) { a.Logf("%s %.1f s after the disk was mounted", what, time.Since(mounted).Seconds()) }
	a.poolIs(a.pool, node, "ready")
	a.podRuns(a.hit.Name)
	after("the replica runs again")
	a.writesOn(a.hit.Name)
	for _, tied := range a.tied {
		a.podRuns(tied)
		after("a pod with a new claim runs")
	}
	for claim, name := range a.unused {
		await(a.test, "the volume of the deleted claim "+claim+" goes", volumes, named(name), none)
		after("the volume of the deleted claim " + claim + " is gone")
		a.eventually("its directory goes as well", func() error {
			if left := a.onNode(a, node, "find", a.pool.dir, "-maxdepth", "2", "-name", name+"*"); left != "" {
				return fmt.Errorf("there still is %s", left)
			}
			return nil
		})
	}
	a.sameProcess(plugin)
	a.writesOn(a.spared.Name)
	if now := a.podRuns(a.spared.Name); now.UID != a.spared.UID || now.Status.ContainerStatuses[0].RestartCount != 0 {
		a.Error("the replica on the other node was started again")
	}
}
