package restore

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newNode(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": name, "csi.hostdir.io/node": name}}}
}

// newClaim makes a claim; selected is its annotation, "-" for none.
func newClaim(selected string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "data", UID: "1"},
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
		}},
	}
	if selected != "-" {
		c.Annotations = map[string]string{selectedNode: selected}
	}
	return c
}

func TestDecide(t *testing.T) {
	const home, away = "worker-1", "worker-2"
	here := origin{what: "VolumeSnapshot s", node: newNode(home), nodeName: home}
	unready, gone := here, here
	unready.waits = "it is not ready"
	gone.node = nil
	sent := past{sent: home, since: now.Add(-time.Second)}
	refused := func(n int, in time.Duration) past { return past{refusals: n, next: now.Add(in)} }
	seven := resource.MustParse("7Gi")
	for _, test := range []struct {
		name     string
		selected string
		origin   origin
		past     past
		refusal  *refusal

		want  action
		again time.Duration
		asks  bool
		told  string // reason of the event
		text  string // what the event has to say
		left  past   // as far as it is compared
	}{
		{name: "a claim without a pod", selected: "-", origin: here, want: send, again: podsAfter, left: past{sent: home}},
		{name: "one for which the scheduler chose another node", selected: away, origin: here, want: correct, again: podsAfter, left: past{sent: home}},
		{name: "one that is right", selected: home, origin: here, again: podsAfter, left: past{sent: home}},
		{name: "one that is being made for long", selected: home, origin: here, past: past{sent: home, since: now.Add(-20 * time.Second)}, again: 20 * time.Second, left: past{sent: home}},
		{name: "or longer", selected: home, origin: here, past: past{sent: home, since: now.Add(-time.Hour)}, again: longestStay, left: past{sent: home}},
		{name: "one that was held by a former program", selected: "", origin: here, want: send, again: podsAfter, left: past{sent: home}},

		{name: "one that came back is held, and nothing told: it may have been another node", selected: "-", origin: here, past: sent, want: hold, again: firstWait, left: refused(1, firstWait)},
		{name: "also if the scheduler was faster, and chose another node", selected: away, origin: here, past: sent, want: hold, again: firstWait, left: refused(1, firstWait)},
		{name: "held, it waits", selected: "", origin: here, past: refused(1, time.Second), again: time.Second, left: refused(1, time.Second)},
		{name: "and goes again", selected: "", origin: here, past: refused(1, 0), want: send, again: podsAfter, left: past{sent: home, refusals: 1, next: now}},
		{name: "it comes back again", selected: "-", origin: here, past: past{sent: home, refusals: 1}, want: hold, again: 2 * firstWait, left: refused(2, 2*firstWait)},
		{name: "then the node is asked why", selected: "", origin: here, past: refused(2, time.Second), again: time.Second, asks: true, left: refused(2, time.Second)},
		{name: "and people are told", selected: "", origin: here, past: refused(2, time.Second), refusal: &refusal{said: "no room on this node", free: &seven}, again: time.Second, told: "RestoreNoRoom",
			text: "only node worker-1 has VolumeSnapshot s, and it does not take the claim now: 10Gi is asked for, it has room for 7Gi, 3Gi is missing. Make room there; it is tried again at least every 5 minutes. csi-provisioner said: no room on this node", left: refused(2, time.Second)},
		{name: "not of room that there is", selected: "", origin: here, past: refused(2, time.Second), refusal: &refusal{free: resource.NewQuantity(1<<40, resource.BinarySI)}, again: time.Second, told: "RestoreNoRoom",
			text: "does not take the claim now. Make room", left: refused(2, time.Second)},
		{name: "the scheduler chooses another node meanwhile", selected: away, origin: here, past: refused(1, time.Second), want: hold, again: time.Second, left: refused(1, time.Second)},
		{name: "a person chooses the right one", selected: home, origin: here, past: refused(3, time.Minute), again: podsAfter, left: past{sent: home, refusals: 3, next: now.Add(time.Minute)}},
		{name: "the waits end at the longest", selected: "-", origin: here, past: past{sent: home, refusals: 40}, want: hold, again: longestWait, left: refused(41, longestWait)},

		{name: "the snapshot is not ready: nobody is to try", selected: "-", origin: unready, want: hold, again: firstWait, told: "RestoreWaiting", text: "waits for VolumeSnapshot s: it is not ready", left: past{looks: 1}},
		{name: "nor later", selected: "", origin: unready, past: past{looks: 9}, again: longestLook, told: "RestoreWaiting", left: past{looks: 10}},
		{name: "not ready, and at the wrong node", selected: away, origin: unready, want: hold, again: firstWait, told: "RestoreWaiting", left: past{looks: 1}},
		{name: "not ready, and at the right node", selected: home, origin: unready, again: firstWait, told: "RestoreWaiting", left: past{looks: 1}},
		{name: "its source is gone while it is made", selected: home, past: sent, origin: origin{what: "claim c", waits: "there is no such claim"}, again: firstWait, told: "RestoreWaiting", left: past{sent: home, looks: 1}},
		{name: "there is no snapshot", selected: "-", origin: origin{what: "VolumeSnapshot s", waits: "there is no such VolumeSnapshot"}, want: hold, again: firstWait, told: "RestoreWaiting", left: past{looks: 1}},
		{name: "nor when the scheduler has chosen", selected: away, origin: origin{what: "VolumeSnapshot s", waits: "there is no such VolumeSnapshot"}, want: hold, again: firstWait, told: "RestoreWaiting", left: past{looks: 1}},
		{name: "it is another driver's", selected: away, origin: origin{what: "VolumeSnapshot s", never: "it is a snapshot of the driver other"}, again: firstWait, told: "RestoreRefused", text: "snapshot of the driver other", left: past{looks: 1}},
		{name: "nobody knows where it is", selected: "-", origin: origin{what: "VolumeSnapshot s (VolumeSnapshotContent c)"}, again: firstWait, told: "RestoreNodeUnknown", text: "managed-by=NODE", left: past{looks: 1}},

		{name: "its node is gone", selected: "-", origin: gone, want: hold, again: firstWait, told: "RestoreNodeGone", text: "only node worker-1 has VolumeSnapshot s", left: past{looks: 1}},
		{name: "and the scheduler chose another", selected: away, origin: gone, want: hold, again: firstWait, told: "RestoreNodeGone", left: past{looks: 1}},
		{name: "and it is held", selected: "", origin: gone, again: firstWait, told: "RestoreNodeGone", left: past{looks: 1}},
		{name: "what was sent there is left", selected: home, origin: gone, again: firstWait, told: "RestoreNodeGone", left: past{looks: 1}},
		{name: "it is back", selected: "", origin: here, past: past{looks: 7}, want: send, again: podsAfter, left: past{sent: home}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := decide(&world{now: now, claim: newClaim(test.selected), origin: test.origin, past: test.past, refusal: test.refusal})
			if s.do != test.want || s.again != test.again || s.needsRefusal != test.asks {
				t.Errorf("%s, again in %s, asks %t; want %s, %s, %t", s.do, s.again, s.needsRefusal, test.want, test.again, test.asks)
			}
			reason, text := "", ""
			if s.notice != nil {
				reason, text = s.notice.Reason, s.notice.Text
			}
			if reason != test.told || !strings.Contains(text, test.text) {
				t.Errorf("told %s: %q; want %s: %q", reason, text, test.told, test.text)
			}
			s.past.since = time.Time{}
			if s.past != test.left {
				t.Errorf("left is %+v, want %+v", s.past, test.left)
			}
		})
	}
}

// TestNormalDay holds that nothing but what needs a person is a Warning.
func TestNormalDay(t *testing.T) {
	w := &world{claim: newClaim("-"), origin: origin{node: newNode("n")}, refusal: &refusal{}}
	for _, n := range []struct{ kind, got string }{
		{corev1.EventTypeNormal, w.waiting().Kind},
		{corev1.EventTypeWarning, w.refused().Kind},
		{corev1.EventTypeWarning, w.unknownNode().Kind},
		{corev1.EventTypeWarning, w.nodeGone().Kind},
		{corev1.EventTypeWarning, w.noRoom().Kind},
	} {
		if n.kind != n.got {
			t.Errorf("an event is %s, want %s", n.got, n.kind)
		}
	}
}

func TestSourceOf(t *testing.T) {
	group, other, elsewhere := snapshotGroup, "populators", "elsewhere"
	for _, test := range []struct {
		name       string
		spec       corev1.PersistentVolumeClaimSpec
		kind, from string
	}{
		{name: "none"},
		{name: "a snapshot", spec: corev1.PersistentVolumeClaimSpec{DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "s"}}, kind: "VolumeSnapshot", from: "s"},
		{name: "a snapshot by reference", spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "s"}}, kind: "VolumeSnapshot", from: "s"},
		{name: "a claim", spec: corev1.PersistentVolumeClaimSpec{DataSource: &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "c"}}, kind: "PersistentVolumeClaim", from: "c"},
		{name: "another namespace's", spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "s", Namespace: &elsewhere}}},
		{name: "a populator's", spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{APIGroup: &other, Kind: "VolumeSnapshot", Name: "s"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if kind, name := sourceOf(&corev1.PersistentVolumeClaim{Spec: test.spec}); kind != test.kind || name != test.from {
				t.Errorf("%q %q, want %q %q", kind, name, test.kind, test.from)
			}
		})
	}
}

func TestWhyNot(t *testing.T) {
	affine := func(zone string) *corev1.NodeSelector {
		return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}}}}}
	}
	volumeIn := func(zone string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{Required: affine(zone)}}}
	}
	required := func(zone string) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: affine(zone)}}
	}
	for _, test := range []struct {
		name   string
		spec   corev1.PodSpec
		others []place
		want   string
	}{
		{name: "free"},
		{name: "by name", spec: corev1.PodSpec{NodeName: "b"}, want: "its nodeName is b"},
		{name: "by the right name", spec: corev1.PodSpec{NodeName: "a"}},
		{name: "by selector", spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "b"}}, want: "its nodeSelector or node affinity excludes it"},
		{name: "by the right selector", spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "a"}}},
		{name: "by affinity", spec: corev1.PodSpec{Affinity: required("b")}, want: "its nodeSelector or node affinity excludes it"},
		{name: "by the right affinity", spec: corev1.PodSpec{Affinity: required("a")}},
		{name: "by another volume", others: []place{{claim: "log", volume: volumeIn("b")}}, want: "the volume of its claim log is not there"},
		{name: "not by one that is there", others: []place{{claim: "log", volume: volumeIn("a")}, {claim: "shared", volume: &corev1.PersistentVolume{}}}},
		{name: "by another restore", others: []place{{claim: "log", node: "b"}}, want: "node b makes the volume of its claim log"},
		{name: "not by one that goes here, or that there is not", others: []place{{claim: "log", node: "a"}, {}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(whyNot(&corev1.Pod{Spec: test.spec}, newNode("a"), test.others), "; "); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
