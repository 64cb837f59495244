package why

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

const block = corev1.PersistentVolumeBlock

// scenario brings a cause about. Those with tenant are seen with rights in one namespace
// alone.
type scenario struct {
	name string
	want Name
	// says is in the sentence, the evidence or the next command.
	says  []string
	guess bool
	world *World
}

var scenarios = []scenario{
	{"all is well", NothingWrong, []string{"pods that use it run: web", "on node a"}, false, sound()},
	{"bound and unused", NothingWrong, []string{"no pod uses it"}, false, sound(noPods)},
	{"tenant: all is well", NothingWrong, []string{"pods that use it run: web"}, false, sound(unseen)},
	{"a typing error", NotFound, []string{"there is no claim shop/data"}, false, sound(func(w *World) { w.Claims, w.Pods = []Claim{{Namespace: "shop", Name: "data"}}, nil })},
	{"a pod without claims", NoClaim, nil, false, sound(func(w *World) { w.Claims, w.Pod, w.Subject.Kind = nil, testPod("web"), PodKind })},
	{"a pod of a claim that is not there", ClaimMissing, []string{"used by web"}, false, sound(func(w *World) { w.Claims[0].Object, w.Claims[0].Volume = nil, nil })},

	{"deleted under its pod", ClaimInUse, []string{"pod web uses it", "delete pod web"}, false, sound(deleting)},
	{"deleted, to be reserved", HeldForReuse, []string{"no pod of hostdir-controller is ready"}, false, sound(deleting, noPods, func(w *World) {
		w.Claims[0].Object.Finalizers, w.Controllers = []string{reuseFinalizer}, nil
	})},
	{"deleted, held by another", HeldByFinalizer, []string{"example.com/backup"}, false, sound(deleting, noPods, func(w *World) { w.Claims[0].Object.Finalizers = []string{"example.com/backup"} })},

	{"no class", NoClass, nil, false, sound(pending, func(w *World) { w.Claims[0].Object.Spec.StorageClassName, w.Claims[0].Class = nil, nil })},
	{"class gone", ClassMissing, []string{`"hostdir"`}, false, sound(pending, func(w *World) { w.Claims[0].Class = nil })},
	{"tenant: class gone", ClassMissing, []string{"not found"}, false, sound(pending, unseen, warned("PersistentVolumeClaim", "data", "ProvisioningFailed", `storageclass.storage.k8s.io "hostdir" not found`))},
	{"another driver's class", NotHostdir, []string{"example.com/nfs"}, false, sound(pending, func(w *World) { w.Claims[0].Class.Provisioner = "example.com/nfs" })},
	{"another driver's volume", NotHostdir, []string{"pvc-data"}, false, sound(func(w *World) { w.Claims[0].Volume.Spec.CSI.Driver = "example.com/nfs" })},
	{"many writers", AccessMode, []string{"ReadWriteMany"}, false, sound(pending, func(w *World) { w.Claims[0].Object.Spec.AccessModes[0] = corev1.ReadWriteMany })},
	{"tenant: many readers", AccessMode, []string{"ReadOnlyMany"}, false, sound(pending, unseen, func(w *World) { w.Claims[0].Object.Spec.AccessModes[0] = corev1.ReadOnlyMany })},
	{"block", BlockMode, []string{"Block"}, false, sound(pending, func(w *World) { mode := block; w.Claims[0].Object.Spec.VolumeMode = &mode })},
	{"a parameter that there is not", InvalidParameter, []string{`unknown StorageClass parameter "colour"`}, false, sound(pending, func(w *World) { w.Claims[0].Class.Parameters["colour"] = "red" })},
	{"tenant: a parameter that there is not", InvalidParameter, []string{`"colour"`}, false, sound(pending, unseen, refused(`code = InvalidArgument desc = invalid: unknown StorageClass parameter "colour"; known are pool`))},
	{"half a byte", InvalidRequest, []string{"surely a slip"}, false, sound(pending, refused("code = InvalidArgument desc = invalid: 1 bytes are requested, which is surely a slip"))},
	{"another's source", InvalidRequest, []string{"is a VirtualMachineImage"}, false, sound(pending, func(w *World) {
		w.Claims[0].Object.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VirtualMachineImage", Name: "yesterday"}
	})},

	{"under import", Importing, []string{"csi.hostdir.io/importing=begun"}, false, sound(pending, func(w *World) {
		w.Claims[0].Object.Annotations = map[string]string{"csi.hostdir.io/importing": "begun"}
	})},
	{"its volume is gone", VolumeLost, []string{"Lost"}, false, sound(func(w *World) { w.Claims[0].Object.Status.Phase, w.Claims[0].Volume = corev1.ClaimLost, nil })},
	{"hostdir is not there", NotInstalled, []string{"CSIDriver"}, false, sound(pending, func(w *World) { w.CSIDriver, w.Plugins, w.Answers, w.CSINodes = nil, nil, nil, nil })},
	{"nodeName", NodeNameSet, []string{"nodeSelector: {kubernetes.io/hostname: a}"}, false, sound(pending, func(w *World) { w.Pods[0].Spec.NodeName = "a" })},
	{"tenant: nodeName", NodeNameSet, []string{"nodeName"}, false, sound(pending, unseen, func(w *World) { w.Pods[0].Spec.NodeName = "a" })},
	{"its node is gone", NodeLost, []string{"there is no Node a", "give-up"}, false, sound(func(w *World) { w.Nodes = w.Nodes[1:]; waiting(w, "0/1 nodes are available: 1 node(s) "+affinityWords) })},
	{"the node chosen for it is gone", NodeLost, []string{"was chosen", selectedNode + "-"}, false, sound(pending, func(w *World) {
		w.Nodes, w.Claims[0].Object.Annotations = w.Nodes[1:], map[string]string{selectedNode: "a"}
	})},
	{"tenant: its node is gone", NodeLost, []string{"the policy is keep"}, true, sound(unseen, func(w *World) { waiting(w, "0/1 nodes are available: 1 node(s) "+affinityWords) },
		warned("PersistentVolumeClaim", "data", "NodeLost", "node a of volume pvc-data is gone; the policy is keep"))},
	{"its node is gone, and its claim too", NodeLost, []string{"there is no Node a"}, false, sound(left, func(w *World) { w.Nodes = w.Nodes[1:] })},
	{"its node is off", NodeNotReady, []string{"Unknown", "describe node a"}, false, sound(func(w *World) { w.Nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown })},

	{"another claim ties the pod", TiedElsewhere, []string{"claim logs is bound on node a", "node b has room for 50Gi"}, false, sound(pending, func(w *World) {
		w.Others, w.Pods[0] = []Claim{testClaim("logs")}, *testPod("web", "data", "logs")
		w.Answers[0].Disks.Disks[0].AvailableBytes = 0
		waiting(w, "0/2 nodes are available: 1 node(s) "+noRoomWords+", 1 node(s) "+affinityWords)
	})},
	{"bound, and another claim of its pod is not", TiedElsewhere, []string{"claim data is bound on node a"}, false, sound(func(w *World) {
		w.Others, w.Pods[0] = []Claim{testClaim("logs")}, *testPod("web", "data", "logs")
		unbind(&w.Others[0])
		w.Answers[0].Disks.Disks[0].AvailableBytes = 0
		waiting(w, "0/2 nodes are available: 1 node(s) "+noRoomWords+", 1 node(s) "+affinityWords)
	})},
	{"claims on two nodes", TiedElsewhere, []string{"claim logs is on node b", "claim data is on node a"}, false, sound(func(w *World) {
		w.Others, w.Pods[0] = []Claim{testClaim("logs")}, *testPod("web", "data", "logs")
		w.Others[0].Volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] = "b"
		waiting(w, "0/2 nodes are available: 2 node(s) "+affinityWords)
	})},
	{"no such pool, before there is a pod", PoolUnknown, []string{`asks for pool "fast"`, "the nodes have default"}, false, sound(pending, noPods, func(w *World) { w.Claims[0].Class.Parameters["pool"] = "fast" })},
	{"no such pool", PoolUnknown, []string{`no disk of a pool "fast"`, "it would fit elsewhere: node a, pool default"}, false, sound(pending, func(w *World) { w.Claims[0].Class.Parameters["pool"] = "fast" })},
	{"no such pool, since the configuration is refused", PoolUnknown, []string{"colour"}, false, sound(pending, noPods, func(w *World) {
		w.Claims[0].Class.Parameters["pool"] = "fast"
		w.Answers[0].Disks.ConfigError = `unknown field "colour"`
	})},
	{"tenant: no such pool", PoolUnknown, []string{`node a has no pool "fast"`}, false, sound(pending, unseen, refused(`code = ResourceExhausted desc = no room on this node: node a has no pool "fast" in hostdir's configuration`))},
	{"nobody uses it, and nobody sends it to its source", NoPod, []string{"no pod of hostdir-controller is ready"}, false, sound(restoring, noPods, func(w *World) { w.Controllers = nil })},
	{"nobody uses it", NoPod, []string{"WaitForFirstConsumer"}, false, sound(pending, noPods)},
	{"tenant: nobody uses it", NoPod, []string{"waiting for first consumer"}, false, sound(pending, noPods, unseen,
		happened(corev1.EventTypeNormal, "PersistentVolumeClaim", "data", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"))},
	{"kept for it", WaitsForReserved, []string{"reuse-1", "Available"}, false, sound(pending, reserve)},
	{"kept for it, and too small", WaitsForReserved, []string{"does not fit", "asks for 5Gi, it has 1Gi"}, false, sound(pending, reserve, growing)},
	{"names a volume that is not there", WaitsForReserved, []string{"pv-1, which is not there"}, false, sound(pending, func(w *World) { w.Claims[0].Object.Spec.VolumeName = "pv-1" })},
	{"its node is cordoned", NodeCordoned, []string{"uncordon a"}, false, sound(func(w *World) {
		w.Nodes[0].Spec.Unschedulable = true
		waiting(w, "0/2 nodes are available: 1 node(s) were unschedulable, 1 node(s) "+affinityWords)
	})},
	{"sent to the wrong node", PodMisplaced, []string{"tied to node a", "delete pod web"}, false, sound(creating, func(w *World) { w.Pods[0].Spec.NodeName = "b" })},
	{"tenant: sent to the wrong node", PodMisplaced, []string{misplacedWords}, false, sound(creating, unseen, warned("Pod", "web", "FailedMount", "MountVolume."+misplacedWords+" for volume pvc-data"))},
	{"no processor", PodUnschedulable, []string{"Insufficient cpu"}, false, sound(pending, func(w *World) { waiting(w, "0/2 nodes are available: 2 Insufficient cpu.") })},
	{"a taint where its volume is", PodUnschedulable, []string{"untolerated taint", "can run nowhere else"}, false, sound(func(w *World) {
		waiting(w, "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) "+affinityWords)
	})},

	{"record damaged", Quarantined, []string{"volume.json is gone", "/mnt/a"}, false, sound(creating, func(w *World) { w.Answers[0].Volumes[0].Quarantine = "its volume.json is gone" })},
	{"tenant: record damaged", Quarantined, []string{"in quarantine"}, false, sound(creating, unseen, warned("Pod", "web", "FailedMount", "MountVolume.SetUp failed: it is in quarantine, neither published nor deleted"))},
	{"directory removed", DataMissing, []string{"no volume uuid-a.pvc-data"}, false, sound(creating, func(w *World) { w.Answers[0].Volumes = nil })},
	{"left behind by a rollback", DataMissing, []string{"SubvolumeLeftBehind"}, false, sound(creating, func(w *World) {
		w.Answers[0].Findings = []admin.Finding{{Kind: "SubvolumeLeftBehind", Path: "/mnt/a/old", VolumeID: "uuid-a.pvc-data", Problem: "it was left behind"}}
	})},
	{"tenant: directory removed", DataMissing, []string{"is healthy"}, false, sound(creating, unseen, warned("Pod", "web", "FailedMount", "MountVolume.SetUp failed: not found: the disk /mnt/a is healthy, but has no volumes/pvc-data"))},

	{"absent", DiskAbsent, []string{"no disk is mounted there"}, false, sound(pending, unusable("absent", "no disk is mounted there"))},
	{"absent, under a running pod", DiskAbsent, []string{"no disk is mounted there", "pvc-data"}, false, sound(unusable("absent", "no disk is mounted there"))},
	{"absent, and its claim is gone", DiskAbsent, []string{"VolumeFailedDelete"}, false, sound(left, unusable("absent", "no disk is mounted there"), warned("PersistentVolume", "pvc-data", "VolumeFailedDelete", "disk unavailable"))},
	{"tenant: absent", DiskAbsent, []string{"disk.json is gone"}, false, sound(creating, unseen, warned("Pod", "web", "FailedMount", "disk unavailable: disk /mnt/a: its disk.json is gone: is the disk mounted?"))},
	{"exchanged", DiskExchanged, []string{"disks accept /mnt/a"}, false, sound(unusable("exchanged", "the disk was exchanged"))},
	{"copied", DiskCopied, []string{"disks accept /mnt/a"}, false, sound(pending, unusable("copied", "one is a copy, and none is used"))},
	{"owned", DiskOwned, []string{"has used it last"}, false, sound(pending, unusable("owned", "hostdir on node c has used it last"))},
	{"faulty", DiskFaulty, []string{"input/output error"}, false, sound(pending, unusable("faulty", "input/output error"))},
	{"of a reason that is not known", DiskFaulty, nil, false, sound(pending, unusable("new", "who knows"))},
	{"unresponsive", DiskUnresponsive, []string{"dmesg"}, false, sound(creating, unusable("unresponsive", "it does not answer"))},
	{"just started", DiskStarting, []string{"being read"}, false, sound(pending, unusable("pending", "it is being read"))},
	{"another disk, which is used", DiskMissing, []string{"uuid-a"}, false, sound(creating, disks(func(d *admin.Disk) { d.UUID = "uuid-new" }))},
	{"no quotas", QuotaMissing, []string{"quota is required, but mount it with prjquota"}, false, sound(pending, func(w *World) { w.Claims[0].Class.Parameters["quota"] = "required" },
		disks(func(d *admin.Disk) { d.Quota, d.WhyAdvisory = admin.NoQuota, "mount it with prjquota" }))},
	{"cordoned", DiskCordoned, []string{"disks uncordon /mnt/a"}, false, sound(pending, disks(func(d *admin.Disk) { d.State, d.Cordoned = admin.CordonedOff, "somebody said so" }))},
	{"read-only", DiskReadOnly, []string{"read-only"}, false, sound(pending, disks(func(d *admin.Disk) {
		d.State, d.Message, d.AvailableBytes = admin.NoNewVolumes, "/mnt/a is read-only", 0
	}))},
	{"full", PoolFull, []string{"it has room for 512Mi, 1Gi is asked for: 512Mi too little", "--node a"}, false, sound(pending, disks(func(d *admin.Disk) { d.AvailableBytes = gibibyte / 2 }))},
	{"full where the pod may run", PoolFull, []string{"node b, disk /mnt/b: it has room for 50Gi, but the pod's nodeSelector asks for kubernetes.io/hostname=a"}, false, sound(pending, func(w *World) {
		w.Answers[0].Disks.Disks[0].AvailableBytes, w.Pods[0].Spec.NodeSelector = 0, map[string]string{corev1.LabelHostname: "a"}
	})},
	{"full, and another pool is not", PoolFull, []string{"node a, pool fast has room for 9Gi"}, false, sound(pending, disks(func(d *admin.Disk) { d.AvailableBytes = 0 }), func(w *World) {
		w.Answers[0].Disks.Disks = append(w.Answers[0].Disks.Disks, admin.Disk{Pool: "fast", Path: "/mnt/fast", State: admin.Ready, AvailableBytes: 9 * gibibyte})
	})},
	{"full, by the scheduler's figures", PoolFull, []string{"the scheduler knows of room for 50Gi"}, true, sound(pending, func(w *World) {
		w.Answers = nil
		w.Claims[0].Object.Spec.Resources.Requests[corev1.ResourceStorage] = *w.Capacities[0].MaximumVolumeSize
		q := w.Claims[0].Object.Spec.Resources.Requests[corev1.ResourceStorage]
		q.Add(q)
		w.Claims[0].Object.Spec.Resources.Requests[corev1.ResourceStorage] = q
	})},
	{"tenant: full", PoolFull, []string{noRoomWords}, true, sound(pending, unseen)},
	{"tenant: full, as hostdir says", PoolFull, []string{"has room for"}, false, sound(pending, unseen, refused("code = ResourceExhausted desc = no room on this node: pool \"default\" on node a cannot take 1Gi: /mnt/a has room for 512Mi, 1Gi is required"))},
	{"not registered", DriverNotRegistered, []string{"kubelet there does not know"}, false, sound(creating, func(w *World) { w.CSINodes[0].Spec.Drivers = nil })},
	{"tenant: not registered", DriverNotRegistered, []string{unregisteredWords}, false, sound(creating, unseen, warned("Pod", "web", "FailedMount", "driver name csi.hostdir.io "+unregisteredWords))},
	{"hostdir does not run there", DriverNotOnNode, []string{"hostdir has no pod there"}, false, sound(pending, func(w *World) {
		w.Plugins, w.Answers, w.Pods[0].Spec.NodeSelector = w.Plugins[1:], w.Answers[1:], map[string]string{corev1.LabelHostname: "a"}
	})},
	{"the provisioner is down", ProvisionerDown, []string{"ImagePullBackOff"}, false, sound(pending, func(w *World) {
		w.Claims[0].Object.Annotations = map[string]string{selectedNode: "a"}
		w.Plugins[0].Status.ContainerStatuses[1] = corev1.ContainerStatus{Name: "csi-provisioner", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}
	})},
	{"room that came a moment ago", CapacityStale, []string{"node a has room for 50Gi, the scheduler knows of 0"}, false, sound(pending, func(w *World) { w.Capacities[0].MaximumVolumeSize.Set(0) })},

	{"the class forbids it", ResizeForbidden, []string{"allowVolumeExpansion"}, false, sound(growing, func(w *World) { w.Claims[0].Class.AllowVolumeExpansion = nil })},
	{"too large for its disk", ResizeBeyondRoom, []string{"cannot grow to 5Gi", "has room for 1Gi, the claim needs 4Gi more"}, false, sound(resized, disks(func(d *admin.Disk) { d.AvailableBytes = gibibyte }), func(w *World) {
		w.Claims[0].Object.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: corev1.PersistentVolumeClaimNodeResizeError, Message: "it has 1Gi and cannot grow to 5Gi: /mnt/a has room for 1Gi"}}
	})},
	{"tenant: too large for its disk", ResizeBeyondRoom, []string{"cannot grow to 5Gi"}, false, sound(resized, unseen, warned("Pod", "web", "VolumeResizeFailed", "it has 1Gi and cannot grow to 5Gi: /mnt/a has room for 1Gi"))},
	{"no resizer", ResizerDown, []string{"no pod of hostdir-controller"}, false, sound(growing, func(w *World) { w.Controllers = nil })},
	{"grows with a pod", ResizeNeedsPod, []string{"FileSystemResizePending"}, false, sound(resized, noPods)},

	{"mounted by somebody", VolumeInUse, []string{"mounted at /pods"}, false, sound(left, warned("PersistentVolume", "pvc-data", "VolumeFailedDelete", "in use: it is in use, mounted at /pods"))},
	{"not deleted", DeletionFails, []string{"Released", "bad luck"}, false, sound(left, warned("PersistentVolume", "pvc-data", "VolumeFailedDelete", "bad luck"))},
	{"kubelet cannot", MountFails, []string{"not a shared mount"}, false, sound(creating, warned("Pod", "web", "FailedMount", "/var/lib/kubelet is not a shared mount"))},
	{"no image", ContainerWaits, []string{"ImagePullBackOff"}, false, sound(creating, func(w *World) {
		w.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
		w.Pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	})},
	{"begun", UnderWay, []string{"0s ago"}, false, sound(pending, func(w *World) {
		w.Claims[0].Object.CreationTimestamp = metav1.NewTime(testNow)
		w.Pods[0].Status.Conditions = nil
	})},
	{"who knows", Unexplained, []string{"excluded: its class and what it asks for, its pods, its nodes, the disks"}, true, sound(pending, func(w *World) { w.Pods[0].Status.Conditions = nil })},

	{"gone and reserved", Reserved, []string{"Available"}, false, sound(left, reserve, func(w *World) { w.Claims[0].Volume = nil })},
	{"gone and retained", Retained, []string{"Retain"}, false, sound(left, func(w *World) {
		w.Claims[0].Volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	})},
}

func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			c := Diagnose(s.world)
			if c.Name != s.want {
				t.Fatalf("%s (%s; %q), want %s", c.Name, c.Says, c.Evidence, s.want)
			}
			if c.Sure == s.guess {
				t.Errorf("sure %t: %q", c.Sure, c.Evidence)
			}
			text := strings.Join(append([]string{c.Says, c.Next}, c.Evidence...), "\n")
			for _, words := range s.says {
				if !strings.Contains(text, words) {
					t.Errorf("it does not say %q:\n%s", words, text)
				}
			}
		})
	}
}

func TestEachCauseHasAScenario(t *testing.T) {
	for i, c := range causes {
		found := false
		for _, s := range scenarios {
			found = found || s.want == c.name
		}
		if !found {
			t.Errorf("no scenario brings %s about", c.name)
		}
		for _, other := range causes[:i] {
			if other.name == c.name {
				t.Errorf("%s is in the table twice", c.name)
			}
		}
	}
}

func TestFineIsWhenNothingIsWrong(t *testing.T) {
	if !Diagnose(sound()).Fine() || Diagnose(sound(pending)).Fine() {
		t.Error("a sound world is not fine, or one is in which a claim waits")
	}
}

func TestPodOfSeveralClaims(t *testing.T) {
	w := sound(func(w *World) {
		w.Subject, w.Pod = Subject{Namespace: "shop", Name: "web", Kind: PodKind}, testPod("web", "nfs", "data", "logs")
		w.Pods = []corev1.Pod{*w.Pod}
		nfs, logs := testClaim("nfs"), testClaim("logs")
		nfs.Volume.Spec.CSI.Driver = "example.com/nfs"
		unbind(&logs)
		logs.Object.Spec.AccessModes[0] = corev1.ReadWriteMany
		w.Claims = []Claim{nfs, w.Claims[0], logs}
		waiting(w, "0/2 nodes are available: "+unboundWords)
	})
	if c := Diagnose(w); c.Name != AccessMode || c.Claim != "shop/logs" {
		t.Errorf("%s of %s, want %s of shop/logs", c.Name, c.Claim, AccessMode)
	}
	w.Claims = w.Claims[:1]
	if c := Diagnose(w); c.Name != NotHostdir {
		t.Errorf("%s, want %s of a pod that has no other claims", c.Name, NotHostdir)
	}
}

// TestOldWordsAreNotSure: what hostdir said an hour ago may have passed.
func TestOldWordsAreNotSure(t *testing.T) {
	w := sound(creating, unseen, warned("Pod", "web", "FailedMount", "disk unavailable: disk /mnt/a: no disk is mounted there"))
	w.Events[0].LastTimestamp.Time = testNow.Add(-2 * retries)
	if c := Diagnose(w); c.Name != DiskAbsent || c.Sure {
		t.Errorf("%s, sure %t", c.Name, c.Sure)
	}
}

func TestAllowedTopologies(t *testing.T) {
	w := sound(pending, func(w *World) {
		w.Claims[0].Class.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: testDriver + "/node", Values: []string{"b"}}}}}
		w.Answers[1].Disks.Disks[0].AvailableBytes = 0
	})
	c := Diagnose(w)
	if c.Name != PoolFull || !slices.ContainsFunc(c.Evidence, func(line string) bool { return strings.Contains(line, "allowedTopologies") }) {
		t.Errorf("%s, %q", c.Name, c.Evidence)
	}
}

func TestImmediateClassNeedsNoPod(t *testing.T) {
	w := sound(pending, noPods, func(w *World) {
		mode := storagev1.VolumeBindingImmediate
		w.Claims[0].Class.VolumeBindingMode = &mode
	}, disks(func(d *admin.Disk) { d.AvailableBytes = 0 }))
	if c := Diagnose(w); c.Name != PoolFull {
		t.Errorf("%s, want %s", c.Name, PoolFull)
	}
}

// TestManyNodes: people read some lines, and not hundreds.
func TestManyNodes(t *testing.T) {
	w := sound(pending, disks(func(d *admin.Disk) { d.AvailableBytes = 0 }))
	for i := range 200 {
		n, registered, plugin, answer := w.Nodes[0].DeepCopy(), w.CSINodes[0].DeepCopy(), w.Plugins[0].DeepCopy(), w.Answers[0]
		n.Name = fmt.Sprintf("node-%d", i)
		registered.Name, plugin.Spec.NodeName, answer.Node = n.Name, n.Name, n.Name
		w.Nodes, w.CSINodes = append(w.Nodes, *n), append(w.CSINodes, *registered)
		w.Plugins, w.Answers = append(w.Plugins, *plugin), append(w.Answers, answer)
	}
	if c := Diagnose(w); c.Name != PoolFull || len(c.Evidence) > 12 {
		t.Errorf("%s, %d lines", c.Name, len(c.Evidence))
	}
}
