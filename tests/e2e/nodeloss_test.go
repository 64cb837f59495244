//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// lossGrace is how long a Node object is absent until its node is lost, in these tests.
const lossGrace = 20 * time.Second

// Promises about nodes that are lost, or look as if they were.
var lost = []promise{
	{"a node that is cordoned, drained, NotReady or registered again is not lost", nodeIsNotLost},
	{"a lost node's volumes stay with onNodeLoss keep", lostNodeKeeps},
	{"what nobody uses of a lost node goes with onNodeLoss release, and its data stays", lostNodeReleases},
	{"a lost node's replica starts anew with onNodeLoss recreate, and its data stays", lostNodeRecreates},
	{"hostdir check finds nothing wrong", checkFindsNothing},
}

// installNodeLoss installs the chart with a short grace, until the test ends.
func (c *cluster) installNodeLoss(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { c.install(t) })
	c.install(t, "--set", "controller.nodeLoss.grace="+lossGrace.String())
}

// A loss is a node that goes with a replica of a StatefulSet, and a volume that no claim
// uses by then.
type loss struct {
	*test
	node    string
	replica string
	claim   string            // the replica's
	id      string            // what the replica wrote
	volumes map[string]string // the PersistentVolumes, by claim
	data    map[string]string // their directories
	since   time.Time
}

// loseNode makes both, and cuts the node's power. It is the same node in each test: the
// loss of a second one within an hour gives nothing up.
func (t *test) loseNode(policy string) *loss {
	t.Helper()
	class := t.createClass(map[string]string{"onNodeLoss": policy})
	set := newStatefulSet("db", 1, signed)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, 16*mebibyte)}
	set.Spec.Template.Spec.NodeSelector = on(t.nodes[0])
	t.createStatefulSet(set)
	return t.loseNodeOf("db-0", class)
}

// loseNodeOf cuts the power of a replica's node.
func (t *test) loseNodeOf(replica, class string) *loss {
	t.Helper()
	l := &loss{test: t, replica: replica, claim: "data-" + replica, volumes: map[string]string{}, data: map[string]string{}}
	l.node = t.podRuns(replica).Spec.NodeName
	t.createClaim(sized("left", class, 16*mebibyte))
	p := newPod("left", "left", signed)
	p.Spec.NodeSelector = on(l.node)
	t.createPod(p)
	t.podRuns("left")
	t.deletePod("left")
	for _, claim := range []string{l.claim, "left"} {
		l.volumes[claim], l.data[claim] = t.volumeOf(claim).Name, t.directory(claim)
	}
	l.id = t.content(l.data[l.claim], "id")
	t.Cleanup(func() {
		t.explain()
		run(t, t.tool, "start", l.node)
	})
	run(t, t.tool, "stop", l.node)
	t.deleteClaim("left")
	await(t, "its volume is Released", volumes, named(l.volumes["left"]), one(released))
	return l
}

// deleteNode deletes the Node object.
func (l *loss) deleteNode() {
	l.Helper()
	l.since = time.Now()
	l.kubectl("delete", "node", l.node)
}

// returns starts the node, and waits until the plugin and its pods run.
func (l *loss) returns() {
	l.Helper()
	run(l, l.tool, "start", l.node)
	await(l.test, "the plugin runs on both nodes", pods, plugins, func(all []*corev1.Pod) error {
		if len(all) != len(l.nodes) {
			return fmt.Errorf("there are %d", len(all))
		}
		for _, p := range all {
			if err := running(p); err != nil {
				return err
			}
		}
		return nil
	})
	await(l.test, "the driver is registered", csiNodes, named(l.node), one(func(n *storagev1.CSINode) error {
		if len(n.Spec.Drivers) == 0 {
			return errors.New("it is not")
		}
		return nil
	}))
}

// goes waits until a PersistentVolume is gone.
func (l *loss) goes(claim string) {
	l.Helper()
	await(l.test, "the PersistentVolume of "+claim+" goes", volumes, named(l.volumes[claim]), none)
	l.Logf("the PersistentVolume of %s went %.1f s after its node", claim, time.Since(l.since).Seconds())
	if took := time.Since(l.since); took < lossGrace {
		l.Errorf("that is within the grace")
	}
}

// hasData holds that a directory stays on the node, some time after the node is back,
// and removes it as a person does.
func (l *loss) hasData(claim string) {
	l.Helper()
	time.Sleep(10 * time.Second) // the provisioner looks at all volumes at its start
	if id := l.content(l.data[claim], "id"); id == "" {
		l.Errorf("the directory of %s is empty", claim)
	}
	if _, err := l.hostdir(l, l.node, "volumes", "delete", "--yes", filepath.Base(filepath.Dir(l.data[claim]))); err != nil {
		l.Error(err)
	}
}

// unmarked waits until nothing is left of the loss.
func (l *loss) unmarked(claim string) {
	l.Helper()
	await(l.test, "the volume of "+claim+" is as it was", volumes, named(l.volumes[claim]), one(func(v *corev1.PersistentVolume) error {
		for key := range v.Annotations {
			if strings.HasPrefix(key, driver+"/") {
				return fmt.Errorf("it has the annotation %s=%s", key, v.Annotations[key])
			}
		}
		if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			return fmt.Errorf("its policy is %s", v.Spec.PersistentVolumeReclaimPolicy)
		}
		return nil
	}))
}

// runsWithData holds that the replica has what it wrote.
func (l *loss) runsWithData() {
	l.Helper()
	l.podRuns("db-0")
	if id := l.exec("db-0", "cat", "/data/id"); id != l.id {
		l.Errorf("the replica has %q, it had %q", id, l.id)
	}
}

func (l *loss) isThere(claim string) {
	l.Helper()
	v, err := l.CoreV1().PersistentVolumes().Get(context.Background(), l.volumes[claim], metav1.GetOptions{})
	if err != nil || v.DeletionTimestamp != nil {
		l.Fatalf("the PersistentVolume of %s is gone, or going: %v", claim, err)
	}
}

func lostNodeKeeps(t *test) {
	l := t.loseNode("keep")
	l.deleteNode()
	t.warned(t.namespace, "data-db-0", l.since, []string{"the policy is keep"})
	t.warned("", l.volumes["left"], l.since, []string{"the policy is keep"})
	t.why("data-db-0", why.NodeLost)
	t.why("left", why.NodeLost)
	time.Sleep(lossGrace)
	l.isThere("data-db-0")
	l.isThere("left")
	await(t, "the node's capacity objects go", capacities, query{namespace: home}, func(all []*storagev1.CSIStorageCapacity) error {
		for _, c := range all {
			if c.NodeTopology != nil && c.NodeTopology.MatchLabels[topologyKey] == l.node {
				return fmt.Errorf("there is %s", c.Name)
			}
		}
		return nil
	})
	l.returns()
	l.runsWithData()
	l.unmarked("data-db-0")
	// Its claim was deleted with the policy Delete, and that is done now.
	await(t, "the volume of the deleted claim goes", volumes, named(l.volumes["left"]), none)
}

func lostNodeReleases(t *test) {
	l := t.loseNode("release")
	l.deleteNode()
	l.goes("left")
	l.isThere("data-db-0")
	l.returns()
	l.runsWithData()
	l.unmarked("data-db-0")
	l.hasData("left")
}

func lostNodeRecreates(t *test) {
	t.apply("recreate.yaml")
	replicas := t.setRuns("app=recreate", 2)
	i := slices.IndexFunc(replicas, func(p *corev1.Pod) bool { return p.Spec.NodeName == t.nodes[0] })
	if i < 0 {
		t.Fatalf("no replica runs on %s", t.nodes[0])
	}
	l := t.loseNodeOf(replicas[i].Name, "hostdir-recreate")
	l.deleteNode()
	l.goes("left")
	l.goes(l.claim)
	p := t.podRuns(l.replica)
	t.Logf("the replica runs %.1f s after its node went", time.Since(l.since).Seconds())
	if p.Spec.NodeName == l.node {
		t.Errorf("it runs on %s, which is stopped", p.Spec.NodeName)
	}
	if id := t.exec(l.replica, "cat", "/data/id"); id == l.id {
		t.Errorf("it has %q, which is on the lost node", id)
	}
	l.returns()
	l.hasData(l.claim)
	l.hasData("left")
	if v := t.volumeOf(l.claim); t.nodeOf(v) == l.node {
		t.Errorf("the new volume %s is on the node that returned", v.Name)
	}
}

// nodeIsNotLost does to a node, with the policy that does most, what people and accidents
// do to nodes.
func nodeIsNotLost(t *test) {
	class := t.createClass(map[string]string{"onNodeLoss": "recreate"})
	set := newStatefulSet("db", 1, signed)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, 16*mebibyte)}
	t.createStatefulSet(set)
	node := t.podRuns("db-0").Spec.NodeName
	before := t.volumeOf("data-db-0")
	id := t.content(t.directory("data-db-0"), "id")
	stays := func(after string) {
		t.Helper()
		now := t.volumeOf("data-db-0")
		if now.UID != before.UID || now.DeletionTimestamp != nil || now.Spec.PersistentVolumeReclaimPolicy != before.Spec.PersistentVolumeReclaimPolicy {
			t.Fatalf("after %s the volume is %v, it was %v", after, now, before)
		}
		t.podRuns("db-0")
		if got := t.exec("db-0", "cat", "/data/id"); got != id {
			t.Errorf("after %s the replica has %q, it had %q", after, got, id)
		}
	}
	t.Cleanup(func() {
		t.explain()
		run(t, t.tool, "start", node)
		run(t, "kubectl", "uncordon", node)
	})

	t.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=set=db")
	time.Sleep(2 * lossGrace)
	t.kubectl("uncordon", node)
	stays("a drain")

	run(t, t.tool, "stop", node)
	time.Sleep(3 * lossGrace) // NotReady, and its pods are evicted
	t.why("data-db-0", why.NodeNotReady)
	run(t, t.tool, "start", node)
	stays("a power cut")

	// Registered again by kubelet's start, as it does where a person has deleted the Node.
	t.kubectl("delete", "node", node)
	run(t, t.tool, "restart", "kubelet", node)
	t.eventually("the Node is there again", func() error {
		_, err := t.CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return err
		}
		t.check(err)
		return nil
	})
	time.Sleep(2 * lossGrace)
	stays("a registration")
}
