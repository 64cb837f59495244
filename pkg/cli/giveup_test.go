package cli

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

func TestGiveUp(t *testing.T) {
	node := func(ready corev1.ConditionStatus) runtime.Object {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	fresh := func(objects ...runtime.Object) *actCluster {
		kept, keptClaim := onNode("pv-kept", "kept", "1Gi")
		again, againClaim := onNode("pv-again", "again", "1Gi")
		again.Spec.CSI.VolumeAttributes = map[string]string{config.NodeLossKey: "recreate"}
		idle, _ := onNode("pv-idle", "idle", "1Gi")
		idle.Status.Phase, idle.Annotations[pv.NodeLossAnnotation] = corev1.VolumeReleased, "release"
		idle.Annotations[pv.GiveUpAnnotation] = "me, before"
		bad, _ := onNode("pv-bad", "bad", "1Gi")
		bad.Annotations[pv.NodeLossAnnotation] = "burn"
		elsewhere, _ := onNode("pv-b", "b", "1Gi")
		elsewhere.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values = []string{"b"}
		return newActCluster(nil, append(objects, kept, keptClaim, again, againClaim, idle, bad, elsewhere)...)
	}
	word := func(c *actCluster, name string) string {
		v, err := c.clients.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Annotations[pv.GiveUpAnnotation]
	}
	t.Setenv("USER", "ada")

	c := fresh()
	stdout, stderr, status := c.run(t, "", "give-up", "a", "--yes")
	if status != OK || c.writes != 3 {
		t.Errorf("status %d, %d writes: %s", status, c.writes, stderr)
	}
	says(t, stdout, "shop/again  pv-again  recreate  the claim is deleted once", "shop/idle   pv-idle   release   the PersistentVolume goes", "annotate pvc kept csi.hostdir.io/on-node-loss=recreate", "nothing, until the annotation")
	if word(c, "pv-b") != "" || word(c, "pv-idle") != "me, before" {
		t.Error("a volume that is not meant was given up")
	}
	for _, name := range []string{"pv-kept", "pv-again", "pv-bad"} {
		says(t, word(c, name), "ada, ")
	}
	if _, _, status := c.run(t, "", "give-up", "a", "--yes"); status != OK || c.writes != 3 {
		t.Errorf("again: status %d, %d writes", status, c.writes)
	}

	c = fresh(node(corev1.ConditionUnknown))
	_, stderr, status = c.run(t, "n\n", "give-up", "a")
	if status != Wrong || c.writes > 0 {
		t.Errorf("declined: status %d, %d writes", status, c.writes)
	}
	says(t, stderr, "Its plugin is asked")

	for _, test := range []struct {
		name, node string
		cluster    *actCluster
		status     int
		says       string
	}{
		{"it is Ready", "a", fresh(node(corev1.ConditionTrue)), Wrong, "it is not lost"},
		{"nobody knows it", "x", fresh(), Unknown, "there is no node x"},
		{"no right", "a", func() *actCluster { c := fresh(); c.denied = []string{"patch persistentvolumes"}; return c }(), Wrong, "you may not"},
	} {
		_, stderr, status := test.cluster.run(t, "", "give-up", test.node, "--yes")
		if status != test.status || test.cluster.writes > 0 {
			t.Errorf("%s: status %d, %d writes", test.name, status, test.cluster.writes)
		}
		says(t, stderr, test.says)
	}
}
