package nodeloss

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

const driver = "csi.hostdir.io"

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) string { return written(now.Add(-d)) }

// newVolume is a volume on a node, of disk "disk-NODE", bound to a claim of the namespace
// "shop" which has its name.
func newVolume(name, node string, annotations ...string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name, UID: types.UID("pv-" + name), Annotations: pairs(annotations), Finalizers: []string{"kubernetes.io/pv-protection", pv.DeletionFinalizer}},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: "disk-" + node + "." + name, VolumeAttributes: map[string]string{}}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: "shop", Name: name, UID: types.UID("claim-" + name)},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: driver + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
	return v
}

func pairs(list []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func newClaim(v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name, UID: v.Spec.ClaimRef.UID, Annotations: map[string]string{}},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: v.Name},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

// newPod is the Pending pod of a StatefulSet with a claim data-POD.
func newPod(set, name string) corev1.Pod {
	yes := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set, UID: types.UID("set-" + set), Controller: &yes}}},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-" + name},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func ready(p corev1.Pod) corev1.Pod {
	p.Spec.NodeName = "alive"
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

// newWorld is a world of ten nodes, of which "gone" is absent, with these volumes and
// their claims.
func newWorld(volumes ...*corev1.PersistentVolume) *world {
	w := &world{
		driver: driver, now: now, options: Options{Grace: 10 * time.Minute, PerHour: 20},
		nodes: map[string]bool{"alive": true}, nodeCount: 10,
		volumes: volumes, claims: map[types.NamespacedName]*corev1.PersistentVolumeClaim{},
		pods: map[string][]corev1.Pod{"shop": {}}, disks: map[string]map[string]bool{}, ledger: &ledger{Entries: map[types.UID]entry{}},
	}
	for _, v := range volumes {
		if v.Status.Phase == corev1.VolumeBound {
			w.claims[types.NamespacedName{Namespace: "shop", Name: v.Spec.ClaimRef.Name}] = newClaim(v)
		}
	}
	return w
}

func onLoss(v *corev1.PersistentVolume, p config.NodeLossPolicy) *corev1.PersistentVolume {
	v.Spec.CSI.VolumeAttributes[config.NodeLossKey] = string(p)
	return v
}

func released(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	v.Status.Phase = corev1.VolumeReleased
	return v
}

func secured(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	v.Annotations[pv.GivenUpAnnotation] = `{"policy":"Delete"}`
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	v.Finalizers = v.Finalizers[:1]
	return v
}

func TestDecide(t *testing.T) {
	const release, recreate = config.NodeLossRelease, config.NodeLossRecreate
	long := ago(time.Hour)
	// replica is the volume of the StatefulSet db's first replica, on the absent node.
	replica := func(annotations ...string) *corev1.PersistentVolume {
		return onLoss(newVolume("data-db-0", "gone", append(annotations, NodeLostSince, long)...), recreate)
	}
	waits := func(w *world) *world {
		w.pods["shop"] = append(w.pods["shop"], newPod("db", "db-0"))
		return w
	}
	change := func(w *world, f func(*world)) *world { f(w); return w }
	// claim is that of the replica.
	claim := func(w *world) *corev1.PersistentVolumeClaim {
		return w.claims[types.NamespacedName{Namespace: "shop", Name: "data-db-0"}]
	}
	for _, test := range []struct {
		name string
		w    *world
		want string
	}{
		{"a node that is there", newWorld(newVolume("a", "alive")), ""},
		{"a node that is absent", newWorld(newVolume("a", "gone")), "mark pv-a"},
		{"a moment that cannot be read", newWorld(newVolume("a", "gone", NodeLostSince, "yesterday")), "mark pv-a"},
		{"a moment that is to come", newWorld(newVolume("a", "gone", NodeLostSince, ago(-time.Hour))), "mark pv-a"},
		{"within the grace", newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, ago(9*time.Minute)), release))), ""},
		{"within the grace, as another volume of the node says", newWorld(
			released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), newVolume("b", "gone", NodeLostSince, ago(time.Minute))), ""},
		{"keep", newWorld(newVolume("a", "gone", NodeLostSince, long)), "tell pv-a kept"},
		{"keep, told", newWorld(newVolume("a", "gone", NodeLostSince, long, Told, "kept")), ""},
		{"keep, Released", newWorld(released(newVolume("a", "gone", NodeLostSince, long))), "tell pv-a kept"},
		{"release, in use", newWorld(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), "tell pv-a in-use"},
		{"release, Released", newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release))), "secure pv-a"},
		{"release, secured", newWorld(secured(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)))), "delete-volume pv-a"},
		{"release, Released on another's word", newWorld(released(newVolume("a", "gone", NodeLostSince, long, pv.NodeLossAnnotation, "release"))), "secure pv-a"},
		{"release, being deleted", newWorld(change(newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release))), func(w *world) {
			w.volumes[0].DeletionTimestamp = &metav1.Time{Time: now}
		}).volumes...), "secure pv-a"},
		{"release, being deleted under its claim", newWorld(change(newWorld(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), func(w *world) {
			w.volumes[0].DeletionTimestamp = &metav1.Time{Time: now}
		}).volumes...), "tell pv-a in-use"},
		{"release, Released while the cache has the claim", change(newWorld(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), func(w *world) {
			released(w.volumes[0])
		}), "tell pv-a in-use"},
		{"policy that is none", newWorld(newVolume("a", "gone", NodeLostSince, long, pv.NodeLossAnnotation, "burn")), "tell pv-a unknown-policy"},
		{"the node is back", newWorld(newVolume("a", "alive", NodeLostSince, long)), "back pv-a"},
		{"the node is back, its disk is not known", newWorld(newVolume("a", "alive", DiskMissingSince, long)), "ask alive"},
		{"the node is back, its plugin does not answer", change(newWorld(newVolume("a", "alive", DiskMissingSince, long)), func(w *world) { w.disks["alive"] = nil }), ""},
		{"the node is back with its disk", change(newWorld(newVolume("a", "alive", DiskMissingSince, long)), func(w *world) {
			w.disks["alive"] = map[string]bool{"disk-alive": true}
		}), "found pv-a"},
		{"the node is just back without its disk", change(newWorld(newVolume("a", "alive", DiskMissingSince, ago(time.Minute))), func(w *world) { w.disks["alive"] = map[string]bool{} }), ""},
		{"the node is back without its disk", change(newWorld(onLoss(newVolume("a", "alive", DiskMissingSince, long), recreate)), func(w *world) {
			w.disks["alive"] = map[string]bool{"another": true}
		}), "tell pv-a disk-lost"},
		{"the disk is given up", change(newWorld(released(onLoss(newVolume("a", "alive", pv.GiveUpAnnotation, "me", DiskMissingSince, long), release))), func(w *world) {
			w.disks["alive"] = map[string]bool{"another": true}
		}), "secure pv-a"},
		{"given up while the disk is there", change(newWorld(released(onLoss(newVolume("a", "alive", pv.GiveUpAnnotation, "me"), release))), func(w *world) {
			w.disks["alive"] = map[string]bool{"disk-alive": true}
		}), "found pv-a"},
		{"given up while the plugin does not answer", change(newWorld(released(onLoss(newVolume("a", "alive", pv.GiveUpAnnotation, "me"), release))), func(w *world) { w.disks["alive"] = nil }), "back pv-a"},
		{"given up while the plugin does not answer yet", change(newWorld(released(onLoss(newVolume("a", "alive", pv.GiveUpAnnotation, "me", DiskMissingSince, ago(30*time.Second)), release))), func(w *world) { w.disks["alive"] = nil }), ""},
		{"given up while the plugin does not answer for long", change(newWorld(released(onLoss(newVolume("a", "alive", pv.GiveUpAnnotation, "me", DiskMissingSince, long), release))), func(w *world) { w.disks["alive"] = nil }), "secure pv-a"},
		{"given up, and the node is absent again", newWorld(newVolume("a", "gone", DiskMissingSince, long, NodeLostSince, long)), "mark pv-a"},
		{"given up within the grace", newWorld(released(onLoss(newVolume("a", "gone", pv.GiveUpAnnotation, "me", NodeLostSince, ago(time.Second)), release))), "secure pv-a"},

		{"recreate, pods not known", change(newWorld(replica()), func(w *world) { delete(w.pods, "shop") }), "list shop"},
		{"recreate, no pod", newWorld(replica()), "tell pv-data-db-0 no-waiting-replica"},
		{"recreate", waits(newWorld(replica())), "secure pv-data-db-0"},
		{"recreate, secured", waits(newWorld(secured(replica()))), "delete-claim pv-data-db-0"},
		{"recreate, kept for reuse", change(waits(newWorld(secured(replica()))), func(w *world) { claim(w).Finalizers = []string{"x", reuseFinalizer} }), "let-go pv-data-db-0"},
		{"recreate, being deleted", change(waits(newWorld(secured(replica()))), func(w *world) { claim(w).DeletionTimestamp = &metav1.Time{Time: now} }), ""},
		{"recreate, being deleted, held again for reuse", change(waits(newWorld(secured(replica()))), func(w *world) {
			claim(w).DeletionTimestamp = &metav1.Time{Time: now}
			claim(w).Finalizers = []string{reuseFinalizer}
		}), "let-go pv-data-db-0"},
		{"recreate, Released", newWorld(secured(released(replica()))), "delete-volume pv-data-db-0"},
		{"recreate, but the claim says keep", change(waits(newWorld(replica())), func(w *world) { claim(w).Annotations[pv.NodeLossAnnotation] = "keep" }), "tell pv-data-db-0 kept"},
		{"recreate, the pod has a node", change(waits(newWorld(replica())), func(w *world) { w.pods["shop"][0].Spec.NodeName = "gone" }), "tell pv-data-db-0 no-waiting-replica"},
		{"recreate, the pod is a Deployment's", change(waits(newWorld(replica())), func(w *world) { w.pods["shop"][0].OwnerReferences[0].Kind = "ReplicaSet" }), "tell pv-data-db-0 no-waiting-replica"},
		{"recreate, the claim is of no template", change(waits(newWorld(replica())), func(w *world) { w.pods["shop"][0].Spec.Volumes[0].Name = "shared" }), "tell pv-data-db-0 no-waiting-replica"},
		{"recreate, another pod has the claim", change(waits(newWorld(replica())), func(w *world) {
			other := newPod("db", "db-0")
			other.OwnerReferences, other.Spec.NodeName = nil, "alive"
			w.pods["shop"] = append(w.pods["shop"], other)
		}), "tell pv-data-db-0 no-waiting-replica"},
		{"recreate, dry", change(waits(newWorld(replica())), func(w *world) { w.options.DryRun = true }), "tell pv-data-db-0 dry-run"},
		{"what was given up is not known", change(waits(newWorld(replica())), func(w *world) { w.ledger = nil }), "ledger"},
		{"too many this hour", change(waits(newWorld(replica())), func(w *world) {
			w.options.PerHour = 1
			w.ledger.Entries["x"] = entry{At: now.Add(-59 * time.Minute), Node: "gone"}
		}), "tell pv-data-db-0 held-too-many-volumes"},
		{"too many an hour ago", change(waits(newWorld(replica())), func(w *world) {
			w.options.PerHour = 1
			w.ledger.Entries["x"] = entry{At: now.Add(-61 * time.Minute), Node: "gone"}
		}), "secure pv-data-db-0"},
		{"too many this hour, but given up by hand", change(waits(newWorld(replica(pv.GiveUpAnnotation, "me"))), func(w *world) { w.options.PerHour = 0 }), "secure pv-data-db-0"},
		{"too many this hour, but it was counted", change(waits(newWorld(secured(replica()))), func(w *world) {
			w.options.PerHour = 1
			w.ledger.Entries["pv-data-db-0"] = entry{At: now.Add(-time.Minute), Node: "gone"}
		}), "delete-claim pv-data-db-0"},
		{"another replica is not Ready", change(waits(newWorld(replica())), func(w *world) {
			w.pods["shop"] = append(w.pods["shop"], newPod("db", "db-1"))
			w.ledger.Entries["x"] = entry{At: now.Add(-2 * time.Hour), Node: "gone", Namespace: "shop", Set: "set-db", Pod: "db-1"}
		}), "tell pv-data-db-0 held-other-replica"},
		{"another replica is Ready", change(waits(newWorld(replica())), func(w *world) {
			w.pods["shop"] = append(w.pods["shop"], ready(newPod("db", "db-1")))
			w.ledger.Entries["x"] = entry{At: now.Add(-time.Minute), Node: "gone", Namespace: "shop", Set: "set-db", Pod: "db-1"}
		}), "secure pv-data-db-0"},
		{"two replicas", change(waits(newWorld(replica(), onLoss(newVolume("data-db-10", "gone", NodeLostSince, long), recreate))), func(w *world) {
			w.pods["shop"] = append(w.pods["shop"], newPod("db", "db-10"))
		}), "secure pv-data-db-0; tell pv-data-db-10 held-other-replica"},
		{"two nodes of twelve at once", newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), newVolume("b", "gone-too", Told, "kept", NodeLostSince, ago(30*time.Minute))), "tell pv-a held-too-many-nodes"},
		{"two nodes of twelve, hours apart", newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), newVolume("b", "gone-too", Told, "kept", NodeLostSince, ago(3*time.Hour))), "secure pv-a"},
		{"two nodes of twenty-one at once", change(newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), newVolume("b", "gone-too", Told, "kept", NodeLostSince, long)), func(w *world) { w.nodeCount = 19 }), "secure pv-a"},
		{"two nodes at once, one of them given up by hand", newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release)), newVolume("b", "gone-too", Told, "kept", NodeLostSince, long, pv.GiveUpAnnotation, "me")), "secure pv-a"},
		{"a node of which all was given up this hour, and another", change(newWorld(released(onLoss(newVolume("a", "gone", NodeLostSince, long), release))), func(w *world) {
			w.ledger.Entries["x"] = entry{At: now.Add(-time.Minute), Node: "gone-too"}
		}), "tell pv-a held-too-many-nodes"},

		{"a claim whose node is gone", waiting(NodeLostSince, ""), "mark-claim c"},
		{"a claim whose node is gone, within the grace", waiting(NodeLostSince, ago(time.Minute)), ""},
		{"a claim whose node is lost", waiting(NodeLostSince, long), "reschedule c"},
		{"a claim whose node is back", waiting(NodeLostSince, long, selectedNode, "alive"), "unmark-claim c"},
		{"a claim of another driver", waiting(NodeLostSince, long, provisioner, "other"), ""},
		{"a claim whose volume is there", change(waiting(NodeLostSince, long), func(w *world) {
			v := newVolume("c", "alive")
			v.Spec.ClaimRef.UID = "claim-c"
			w.volumes = append(w.volumes, v)
		}), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, describe(decide(test.w))); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// waiting is a world with a claim that waits for its volume.
func waiting(annotations ...string) *world {
	w := newWorld()
	all := map[string]string{provisioner: driver, selectedNode: "gone"}
	for key, value := range pairs(annotations) {
		all[key] = value
	}
	w.claims[types.NamespacedName{Namespace: "shop", Name: "c"}] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "c", UID: "claim-c", Annotations: all}}
	return w
}

func describe(p plan) string {
	var all []string
	for node := range p.needsDisks {
		all = append(all, "ask "+node)
	}
	for namespace := range p.needsPods {
		all = append(all, "list "+namespace)
	}
	if p.needsLedger {
		all = append(all, "ledger")
	}
	for _, s := range p.steps {
		name := ""
		if s.volume != nil {
			name = s.volume.Name
		} else {
			name = s.claim.Name
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", s.do, name, s.state)))
	}
	return strings.Join(all, "; ")
}
