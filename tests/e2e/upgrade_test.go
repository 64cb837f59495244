//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// An upgrade goes from one version to another under pods that write.
type upgrade struct {
	*test
	pods    []*corev1.Pod   // which run all the time
	size    int64           // of their claims
	reused  map[string]kept // what the replicas of examples/reuse.yaml have
	foreign string          // the folder that the version that runs may not know, if any
}

// Claims of pods that count, one on each node.
var counters = []string{"data-db-0", "data-db-1"}

// previousIsUpgraded goes from the version that tests/previous has built to this one, back,
// and to this one again.
func previousIsUpgraded(t *testing.T, c *cluster) {
	previous := filepath.Join(c.repository, "bin/previous")
	commit, err := os.ReadFile(filepath.Join(previous, "commit"))
	if err != nil {
		t.Skipf("there is no version to upgrade from; tests/previous builds it, where git has it: %v", err)
	}
	t.Logf("from commit %s", commit)
	disks := "/mnt/hostdir/upgraded-" + session
	c.makeLimited(t, disks)
	run(t, c.tool, "load", filepath.Join(previous, "image.tar"))
	c.knowSnapshots(t)
	// What an earlier run has left is newer.
	run(t, "helm", "uninstall", "hostdir", "--namespace", home, "--ignore-not-found", "--wait", "--timeout", "3m")
	c.installFrom(t, filepath.Join(previous, "chart"), "previous", "--set", limitedAt(disks))
	// The commands of docs/how-to/upgrade.md; this cluster has no snapshot-controller of its own.
	upgraded := func() {
		run(t, "helm", "upgrade", "hostdir", c.chart(), "--namespace", home, "--reset-then-reuse-values",
			"--set", "image.tag=dev", "--set", "snapshots.controller.enabled=true", "--wait", "--timeout", "3m")
	}
	broughtBack := func() { run(t, "helm", "rollback", "hostdir", "--namespace", home, "--wait", "--timeout", "3m") }

	u := &upgrade{test: begin(t, c), size: 16 * mebibyte}
	u.begins()
	u.goes("upgraded", upgraded)
	u.serves()
	// Of snapshots the version before may have no notion; it deletes what this one is of.
	u.takeSnapshot("passed", "passed")
	id := u.content(u.directory("passed"), "id")
	u.foreign = pool + "/snapshots"
	u.goes("brought back", broughtBack)
	u.serves()
	u.foreign = ""
	u.goes("upgraded again", upgraded)
	u.restoreSnapshot("passed")
	if now := u.content(u.directory("of-passed"), "id"); now != id {
		t.Errorf("the snapshot holds %q, it was made of %q", now, id)
	}
}

// begins makes what the version that runs first leaves for the others.
func (u *upgrade) begins() {
	u.letDataGo()
	u.outside = append(u.outside, func() { // all other tests get them as this version makes them
		run(u, "kubectl", "delete", "storageclasses", "hostdir", "hostdir-retain", reuseClass)
	})
	set := newStatefulSet("db", 2, counting)
	set.Spec.Template.Spec.Affinity = apart(set.Spec.Selector.MatchLabels)
	u.createStatefulSet(set)
	u.createClaim(sized("limited", u.limitedClass(), u.size))
	u.createPod(newPod("limited", "limited", ""))
	u.apply("reuse.yaml")
	u.reused = u.keptBy("app=kept", 2)
	u.kubectl("delete", "statefulset,pvc", "-l", "app=kept")
	u.pods = append(u.setRuns("set=db", 2), u.podRuns("limited"))
	u.fills()
	u.passOn()
}

// goes to another version while pods write.
func (u *upgrade) goes(how string, act func()) {
	u.Helper()
	began := time.Now()
	u.writesDuring("while hostdir is "+how, counters, act)
	for _, p := range u.pods {
		now := u.podRuns(p.Name)
		if now.UID != p.UID || now.Status.ContainerStatuses[0].RestartCount != 0 {
			u.Errorf("%s: pod %s was started again", how, p.Name)
		}
	}
	u.isWell()
	u.Logf("%s after %.0f s", how, time.Since(began).Seconds())
}

// serves holds that the version that runs does what it is for with what the other has made:
// it deletes, reuses, expands and publishes. It leaves the like behind.
func (u *upgrade) serves() {
	u.Helper()
	began := time.Now()
	u.size += 16 * mebibyte
	all := append([]string{"limited"}, counters...)
	for _, claim := range all {
		u.ask(claim, u.size)
		u.createPod(newPod("reads-"+claim, claim, ""))
	}
	u.kubectl("apply", "-f", u.example("reuse.yaml"))
	passed := u.directory("passed")
	u.deleteClaim("passed")
	u.removed(passed)
	u.passOn()

	if now := u.keptBy("app=kept", 2); !maps.Equal(u.reused, now) {
		u.Errorf("replicas have %v, they had %v", now, u.reused)
	}
	u.kubectl("delete", "statefulset,pvc", "-l", "app=kept")
	for _, claim := range all {
		await(u.test, claim+" has grown", claims, u.in(claim), hasSize(u.size))
		u.podRuns("reads-" + claim)
	}
	for _, claim := range counters {
		if first := u.exec("reads-"+claim, "head", "-n1", "/data/log"); first != "1" {
			u.Errorf("a second pod with claim %s reads %q", claim, first)
		}
	}
	u.fills()
	for _, claim := range all {
		u.deletePod("reads-" + claim)
	}
	u.isWell()
	u.Logf("it serves, after %.0f s", time.Since(began).Seconds())
}

// isWell holds that hostdir check finds nothing, but perhaps what this version does not know.
func (u *upgrade) isWell() {
	u.Helper()
	for _, node := range u.nodes {
		u.eventually("hostdir check finds nothing wrong on "+node, func() error {
			findings, err := u.hostdir(u, node, "check")
			if err == nil || u.foreign != "" && strings.HasPrefix(findings, "ForeignFile: "+u.foreign+"\n") && strings.Contains(err.Error(), "findings: 1\n") {
				return nil
			}
			return fmt.Errorf("%w:\n%s", err, findings)
		})
	}
}

// passOn makes the claim "passed" with data, for the next version to delete.
func (u *upgrade) passOn() {
	u.Helper()
	u.createClaim(newClaim("passed"))
	u.createPod(newPod("signs", "passed", signed))
	u.podRuns("signs")
	u.content(u.directory("passed"), "id")
	u.deletePod("signs")
}

// fills appends to the limited volume until it is full, which must be at its size.
func (u *upgrade) fills() {
	u.Helper()
	told := u.exec("limited", "sh", "-c", "dd if=/dev/zero of=/data/file oflag=append conv=notrunc,fsync bs=256k 2>&1 || true")
	if size := u.test.size("limited", "/data/file"); !atLimit(told) || size > u.size || size < u.size-8*mebibyte {
		u.Errorf("a volume of %d bytes holds %d when its pod is told %q", u.size, size, told)
	}
}
