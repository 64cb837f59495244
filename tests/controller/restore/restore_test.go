package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/controller/restore"
	"github.com/hostdir/hostdir/tests/apiserver"
)

func TestRestore(t *testing.T) {
	w := start(t)
	stop := w.startLoops(nil)
	t.Run("kinds that come later", func(t *testing.T) { comesLater(w.begin(t)) })
	for _, scenario := range []struct {
		name string
		test func(*world)
	}{
		{"no pod", noPod},
		{"with a pod", withPod},
		{"ten at once", tenAtOnce},
		{"wrong node", wrongNode},
		{"of a claim", ofClaim},
		{"found by its disk", byDisk},
		{"given to its node", labelled},
		{"not ready", notReady},
		{"not ours", notOurs},
		{"pods elsewhere", podsElsewhere},
		{"no room", noRoom},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.test(w.begin(t)) })
	}
	stop()
	t.Run("let go", func(t *testing.T) { letGo(w.begin(t)) })
	t.Run("killed", func(t *testing.T) {
		apiserver.AtEachWrite(t, func(t *testing.T, crash *apiserver.Crash) {
			w := w.begin(t)
			w.startLoops(crash)
			wrongNode(w)
		})
	})
}

// noWarning fails if people were warned of what is a normal day.
func (w *world) noWarning() {
	w.Helper()
	for _, e := range w.events() {
		if strings.HasPrefix(e, "Warning") && !strings.Contains(e, "FailedScheduling") {
			w.Errorf("a Warning: %s", e)
		}
	}
}

func (w *world) told(begins, text string) {
	w.Helper()
	w.await(func() string {
		if slices.ContainsFunc(w.events(), func(e string) bool { return strings.HasPrefix(e, begins) && strings.Contains(e, text) }) {
			return ""
		}
		return fmt.Sprintf("nobody was told %q: %q", begins, text)
	})
}

func comesLater(w *world) {
	c := w.claim("c", "s")
	w.told("Normal RestoreWaiting of c", "CRDs are not installed")
	w.installCRDs()
	w.snapshot("s")
	w.await(func() string { return w.wrong(c) })
	w.noWarning()
}

func noPod(w *world) {
	w.snapshot("s")
	began := time.Now()
	c := w.claim("c", "s")
	w.await(func() string { return w.wrong(c) })
	w.Logf("bound after %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	c = w.claim("at-once", "s", inClass(immediate))
	w.await(func() string { return w.wrong(c) })
	w.Logf("Immediate: bound after %s", time.Since(began).Round(time.Millisecond))
	w.noWarning()
	if n := w.drivers[away].asked(w.namespace+"/c") + w.drivers[away].asked(w.namespace+"/at-once"); n > 0 {
		w.Errorf("the other node was asked %d times", n)
	}
}

// withPod has a claim for which the scheduler sees no room on the node that has the
// data, and a pod that comes with it.
func withPod(w *world) {
	w.snapshot("s")
	c := w.claim("c", "s", ofSize("6Gi"))
	p := w.pod("p", nil, "c")
	w.await(func() string { return w.wrong(c) })
	w.await(func() string { return w.scheduled(p) })
}

func tenAtOnce(w *world) {
	w.snapshot("s")
	claims, pods := make([]*corev1.PersistentVolumeClaim, 10), make([]*corev1.Pod, 10)
	began := time.Now()
	var all sync.WaitGroup
	for i := range claims {
		all.Go(func() {
			claims[i] = w.claim(fmt.Sprintf("c-%d", i), "s")
			pods[i] = w.pod(fmt.Sprintf("p-%d", i), nil, claims[i].Name)
		})
	}
	all.Wait()
	for i := range claims {
		w.await(func() string { return w.wrong(claims[i]) })
		w.await(func() string { return w.scheduled(pods[i]) })
	}
	w.Logf("all bound and scheduled after %s", time.Since(began).Round(time.Millisecond))
}

func wrongNode(w *world) {
	w.snapshot("s")
	c := w.claim("c", "s", selected(away))
	w.await(func() string { return w.wrong(c) })
}

func ofClaim(w *world) {
	w.snapshot("s")
	source := w.claim("source", "s")
	clone := w.claim("clone", "", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "source"}
	})
	w.await(func() string { return w.wrong(source) })
	w.await(func() string { return w.wrong(clone) })
}

// byDisk has a snapshot whose content does not say which node has it, and one of which
// nobody knows.
func byDisk(w *world) {
	w.snapshot("s")
	first := w.claim("first", "s")
	w.await(func() string { return w.wrong(first) })
	unlabelled := func(_, content *unstructured.Unstructured) { content.SetLabels(nil) }
	w.snapshot("unlabelled", unlabelled)
	c := w.claim("c", "unlabelled")
	w.await(func() string { return w.wrong(c) })
	w.snapshot("unknown", unlabelled, func(_, content *unstructured.Unstructured) {
		content.Object["status"].(map[string]any)["snapshotHandle"] = "nowhere.snapshots.s"
		w.must(unstructured.SetNestedField(content.Object, "nowhere.s", "spec", "source", "volumeHandle"))
	})
	w.claim("lost", "unknown")
	w.told("Warning RestoreNodeUnknown of lost", w.namespace+"-unknown")
}

// labelled has contents that nobody has given to a node.
func labelled(w *world) {
	w.snapshot("s")
	first := w.claim("first", "s") // whose volume tells where the disk is
	w.await(func() string { return w.wrong(first) })
	bare := func(_, content *unstructured.Unstructured) { content.SetLabels(nil) }
	foreign := func(_, content *unstructured.Unstructured) {
		w.must(unstructured.SetNestedField(content.Object, "other", "spec", "driver"))
	}
	w.snapshot("theirs", bare, foreign)
	w.snapshot("restored", bare, func(_, content *unstructured.Unstructured) { // as by a backup tool
		w.must(unstructured.SetNestedField(content.Object, map[string]any{"snapshotHandle": home + ".snapshots.restored"}, "spec", "source"))
		delete(content.Object, "status")
	})
	label := func(name string) string {
		c := object("VolumeSnapshotContent", map[string]any{})
		w.must(w.Get(context.Background(), client.ObjectKey{Name: w.namespace + "-" + name}, c))
		return c.GetLabels()["snapshot.storage.kubernetes.io/managed-by"]
	}
	w.await(func() string {
		if label("restored") != home {
			return "the content has no label"
		}
		return ""
	})
	if node := label("theirs"); node != "" {
		w.Errorf("another driver's content was given to node %s", node)
	}
}

func notReady(w *world) {
	s := w.snapshot("s", func(s, _ *unstructured.Unstructured) { s.Object["status"].(map[string]any)["readyToUse"] = false })
	c := w.claim("c", "s")
	p := w.pod("p", nil, "c")
	w.told("Normal RestoreWaiting of c", "it is not ready")
	w.must(unstructured.SetNestedField(s.Object, true, "status", "readyToUse"))
	w.must(w.Status().Update(context.Background(), s))
	w.await(func() string { return w.wrong(c) })
	w.await(func() string { return w.scheduled(p) })
}

func notOurs(w *world) {
	w.snapshot("s", func(_, content *unstructured.Unstructured) {
		w.must(unstructured.SetNestedField(content.Object, "other", "spec", "driver"))
	})
	c := w.claim("c", "s")
	w.told("Warning RestoreRefused of c", "the driver other")
	w.must(w.Get(context.Background(), client.ObjectKeyFromObject(c), c))
	if node, ok := c.Annotations[selectedNode]; ok {
		w.Errorf("a node was chosen: %q", node)
	}
}

func podsElsewhere(w *world) {
	w.snapshot("s")
	c := w.claim("c", "s")
	w.pod("tied", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": away} }, "c")
	w.pod("placed", func(p *corev1.Pod) { p.Spec.NodeName = away }, "c")
	w.pod("free", nil, "c")
	w.told("Warning RestoreElsewhere of tied", "which is on node "+home)
	w.told("Warning RestoreElsewhere of placed", "its nodeName is "+away)
	w.await(func() string { return w.wrong(c) })
	for _, e := range w.events() {
		if strings.HasPrefix(e, "Warning RestoreElsewhere of free") {
			w.Errorf("a pod that can run was told: %s", e)
		}
	}
}

// noRoom has the node refuse a claim, with a pod that the scheduler would send elsewhere.
func noRoom(w *world) {
	w.snapshot("s")
	w.drivers[home].setFull(true)
	defer w.drivers[home].setFull(false)
	c := w.claim("c", "s", ofSize("8Gi"))
	p := w.pod("p", nil, "c")
	w.told("Warning RestoreNoRoom of c", "8Gi is asked for, it has room for 5Gi, 3Gi is missing")
	w.told("Warning RestoreNoRoom of c", "csi-provisioner said")
	key := w.namespace + "/c"
	asked := func() (int, int) { return w.drivers[home].asked(key), w.drivers[away].asked(key) }
	homeBefore, awayBefore := asked()
	const long = 20 * time.Second
	time.Sleep(long)
	homeAfter, awayAfter := asked()
	w.Logf("in all: asked here %d times, elsewhere %d times; in %s more: %d, %d", homeAfter, awayAfter, long, homeAfter-homeBefore, awayAfter-awayBefore)
	// Each time that it comes back, the scheduler may be faster than the loop.
	if homeAfter-homeBefore > 4 || awayAfter-awayBefore > homeAfter-homeBefore {
		w.Errorf("in %s it was asked for %d times here and %d times elsewhere: it goes round in circles", long, homeAfter-homeBefore, awayAfter-awayBefore)
	}
	w.drivers[home].setFull(false)
	w.await(func() string { return w.wrong(c) })
	w.await(func() string { return w.scheduled(p) })
}

// letGo is of claims that are held while the loop ends for good.
func letGo(w *world) {
	held := w.claim("held", "none", selected(""))
	other := w.claim("other", "", selected(""), func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSource = nil })
	chosen := w.claim("chosen", "none", selected(away))
	w.must(restore.LetGo(context.Background(), w.Client, driver))
	for c, want := range map[*corev1.PersistentVolumeClaim]bool{held: false, other: true, chosen: true} {
		w.must(w.Get(context.Background(), client.ObjectKeyFromObject(c), c))
		if has := metav1.HasAnnotation(c.ObjectMeta, selectedNode); has != want {
			w.Errorf("claim %s has its annotation: %t, want %t", c.Name, has, want)
		}
	}
}
