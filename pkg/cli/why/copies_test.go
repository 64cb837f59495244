package why

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
)

// Scenarios of claims that begin as copies.
func init() { scenarios = append(scenarios, copyScenarios...) }

var copyScenarios = []scenario{
	{"another driver's snapshot", SourceForeign, []string{"example.com/nfs", "VolumeSnapshot shop/nightly is not hostdir's"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Content.Driver = "example.com/nfs" }))},
	{"another driver's claim", SourceForeign, []string{"pvc-logs"}, false, sound(cloning, ofOrigin(func(o *Origin) { o.Volume.Spec.CSI.Driver = "example.com/nfs" }))},
	{"tenant: another driver's snapshot", SourceForeign, []string{"it is a snapshot of the driver"}, false, sound(restoring, unseen,
		told("RestoreRefused", "the claim cannot begin as VolumeSnapshot nightly: it is a snapshot of the driver example.com/nfs. Use a class of the driver that has it"))},
	{"smaller than the snapshot", SourceLarger, []string{"asks for 1Gi, and VolumeSnapshot shop/nightly has 5Gi", "at least 5Gi"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Snapshot.SizeBytes = 5 * gibibyte }))},
	{"smaller than the claim", SourceLarger, []string{"claim shop/logs has 3Gi"}, false, sound(cloning, ofOrigin(func(o *Origin) {
		q := o.Claim.Status.Capacity[corev1.ResourceStorage]
		q.Set(3 * gibibyte)
		o.Claim.Status.Capacity[corev1.ResourceStorage] = q
	}))},
	{"tenant: smaller than the snapshot", SourceLarger, []string{"is less than the size"}, false, sound(restoring, unseen, refused("requested volume size 1 is less than the size 2 for the source snapshot nightly"))},
	{"another pool than the snapshot's", SourcePool, []string{`disk /mnt/a of pool "default"`, `StorageClass hostdir asks for pool "fast"`, "a class of pool default"}, false, sound(restoring, func(w *World) {
		w.Claims[0].Class.Parameters["pool"] = "fast"
	})},
	{"tenant: another pool than the snapshot's", SourcePool, []string{"use a class of pool"}, false, sound(restoring, unseen,
		refused(`code = InvalidArgument desc = invalid: x is on the disk /mnt/a of pool "default", and the class makes volumes in pool "fast": use a class of pool "default"`))},

	{"tenant: another pool, as hostdir-controller quotes", SourcePool, []string{"use a class of pool"}, false, sound(restoring, unseen,
		told("RestoreNoRoom", `only node a has VolumeSnapshot nightly, and it does not take the claim now. csi-provisioner said: the class makes volumes in pool "fast": use a class of pool "default"`))},

	{"no such snapshot", SourceMissing, []string{"there is no VolumeSnapshot shop/nightly"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Snapshot, o.Content = nil, nil }))},
	{"no snapshots in the cluster", SourceMissing, []string{"their CRDs are not installed"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.NoKind, o.Snapshot, o.Content = true, nil, nil }))},
	{"the snapshot is being deleted", SourceMissing, []string{"it is being deleted"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Snapshot.Deleting = true }))},
	{"its content is gone", SourceMissing, []string{"no VolumeSnapshotContent content-1"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Content = nil }))},
	{"its data is gone", SourceMissing, []string{"node a has the disk /mnt/a, and no snapshot uuid-a.snapshots.snapshot-1"}, false, sound(restoring, func(w *World) { w.Answers[0].Snapshots = &admin.Snapshots{} })},
	{"no such claim to clone", SourceMissing, []string{"there is no claim shop/logs"}, false, sound(cloning, ofOrigin(func(o *Origin) { o.Claim, o.Volume = nil, nil }))},
	{"the volume to clone is gone", SourceMissing, []string{"no PersistentVolume pvc-logs"}, false, sound(cloning, ofOrigin(func(o *Origin) { o.Volume = nil }))},
	{"tenant: no such snapshot", SourceMissing, []string{"there is no such VolumeSnapshot"}, false, sound(restoring, unseen,
		happened(corev1.EventTypeNormal, "PersistentVolumeClaim", "data", "RestoreWaiting", "the claim waits for VolumeSnapshot nightly: there is no such VolumeSnapshot"))},
	{"the snapshot fails", SourceNotReady, []string{"its error is: its class wants consistency=idle", "describe volumesnapshot nightly"}, false, sound(restoring, ofOrigin(func(o *Origin) {
		o.Snapshot.Ready, o.Snapshot.Error = false, "its class wants consistency=idle"
		o.Content.Handle = "uuid-a.pvc-data"
	}), func(w *World) { w.Answers[0].Snapshots = &admin.Snapshots{} })},
	{"the snapshot is being copied", SourceNotReady, []string{"copying 1Gi of some 4Gi", "kubectl hostdir snapshots -w"}, false, sound(restoring, ofOrigin(func(o *Origin) {
		o.Snapshot.Ready, o.Content.Handle = false, "uuid-a.pvc-data"
	}), func(w *World) {
		s := &w.Answers[0].Snapshots.Snapshots[0]
		s.Ready, s.Progress = false, &admin.Progress{Phase: "copying", Bytes: gibibyte, TotalBytes: 4 * gibibyte}
	})},
	{"nobody looks after the snapshot", SourceNotReady, []string{"does snapshot-controller run?"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Snapshot, o.Content = &Snapshot{}, nil }))},
	{"no node looks after the snapshot", SourceNotReady, []string{"content-1 has no label snapshot.storage.kubernetes.io/managed-by"}, false, sound(restoring, ofOrigin(func(o *Origin) {
		o.Snapshot.Ready, o.Content.Node, o.Content.Handle = false, "", "uuid-a.pvc-data"
	}), func(w *World) { w.Answers[0].Snapshots = &admin.Snapshots{} })},
	{"the snapshot is in quarantine", SourceNotReady, []string{"in quarantine, /mnt/a/snapshots/snapshot-1/data: its snapshot.json is gone"}, false, sound(restoring, func(w *World) {
		w.Answers[0].Snapshots.Snapshots[0].Quarantine = "its snapshot.json is gone"
	})},
	{"the claim to clone waits itself", SourceNotReady, []string{"it is Pending", "kubectl hostdir why shop/logs"}, false, sound(cloning, ofOrigin(func(o *Origin) {
		o.Claim.Spec.VolumeName, o.Claim.Status.Phase, o.Volume = "", corev1.ClaimPending, nil
	}))},
	{"the claim to clone was made after it, and waits", SourceNotReady, []string{"it is Pending"}, false, sound(cloning, ofOrigin(func(o *Origin) {
		o.Claim.Spec.VolumeName, o.Claim.Status.Phase, o.Volume = "", corev1.ClaimPending, nil
	}), happened(corev1.EventTypeNormal, "PersistentVolumeClaim", "data", "RestoreWaiting", "the claim waits for claim logs: there is no such claim"))},
	{"tenant: the snapshot is not ready", SourceNotReady, []string{"is not Ready"}, false, sound(restoring, unseen, refused("snapshot nightly is not Ready"))},
	{"no node has its disk", SourceNodeUnknown, []string{"disk uuid-gone, which no node has"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Content.Handle, o.Content.Node = "uuid-gone.snapshots.s", "" }))},
	{"nothing says which node has it", SourceNodeUnknown, []string{"kubectl label volumesnapshotcontent content-1 snapshot.storage.kubernetes.io/managed-by=a"}, false, sound(restoring, ofOrigin(func(o *Origin) { o.Content.Node = "" }),
		told("RestoreNodeUnknown", "nothing says which node has VolumeSnapshot nightly (VolumeSnapshotContent content-1): label its VolumeSnapshotContent"))},
	{"the snapshot's node is gone", NodeLost, []string{"VolumeSnapshot shop/nightly is on node a alone", "there is no Node a"}, false, sound(restoring, func(w *World) {
		w.Nodes, w.Answers, w.Plugins = w.Nodes[1:], w.Answers[1:], w.Plugins[1:]
	})},
	{"tenant: the snapshot's node is gone", NodeLost, []string{"there is no such node"}, false, sound(restoring, unseen, told("RestoreNodeGone", "only node a has VolumeSnapshot nightly, and there is no such node: the claim waits for it"))},
	{"the snapshot's node is off", NodeNotReady, []string{"node a, which has VolumeSnapshot shop/nightly, is not ready"}, false, sound(restoring, noPods, func(w *World) { w.Nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown })},

	{"the pod is tied to another node than the snapshot", SourceElsewhere, []string{"on node a alone", "nodeSelector asks for kubernetes.io/hostname=b"}, false, sound(restoring, func(w *World) {
		w.Pods[0].Spec.NodeSelector = map[string]string{corev1.LabelHostname: "b"}
	})},
	{"another claim ties the pod to another node than the snapshot", SourceElsewhere, []string{"its claim logs is on node b", "event RestoreElsewhere"}, false, sound(restoring, func(w *World) {
		w.Others, w.Pods[0] = []Claim{testClaim("logs")}, *testPod("web", "data", "logs")
		w.Others[0].Volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] = "b"
		waiting(w, "0/2 nodes are available: 1 node(s) "+affinityWords)
	}, warned("Pod", "web", "RestoreElsewhere", "the claim data begins as VolumeSnapshot nightly, which is on node a and nowhere else, and this pod cannot run there"))},
	{"another claim of the pod begins on another node", SourceElsewhere, []string{"its claim logs begins as VolumeSnapshot shop/weekly, which is on node b"}, false, sound(restoring, func(w *World) {
		w.Others, w.Pods[0] = []Claim{testClaim("logs")}, *testPod("web", "data", "logs")
		unbind(&w.Others[0])
		w.Others[0].Object.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: snapshotKind, Name: "weekly"}
		w.Others[0].Origin = &Origin{
			Kind: snapshotKind, Namespace: "shop", Name: "weekly",
			Snapshot: &Snapshot{Content: "content-2", Ready: true}, Content: &Content{Name: "content-2", Driver: testDriver, Handle: "uuid-b.snapshots.snapshot-2", Node: "b"},
		}
		waiting(w, "0/2 nodes are available: 2 node(s) "+noVolumeWords)
	})},
	{"nodeName is another than the snapshot's", SourceElsewhere, []string{"its nodeName is b"}, false, sound(restoring, func(w *World) { w.Pods[0].Spec.NodeName = "b" })},
	{"tenant: the pod is tied to another node", SourceElsewhere, []string{"on another node alone"}, false, sound(restoring, unseen,
		warned("Pod", "web", "RestoreElsewhere", "the claim data begins as VolumeSnapshot nightly, which is on node a and nowhere else, and this pod cannot run there: its nodeName is b"))},
	{"being copied", Copying, []string{"node a: volume pvc-uid-data is being made as a copy of uuid-a.snapshots.snapshot-1: copying 1Gi of some 4Gi"}, false, sound(restoring, disks(func(d *admin.Disk) { d.AvailableBytes = 0 }), func(w *World) {
		w.Answers[0].Snapshots.Copies = []admin.Copy{{Volume: "pvc-uid-data", Source: "uuid-a.snapshots.snapshot-1", Progress: &admin.Progress{Phase: "copying", Bytes: gibibyte, TotalBytes: 4 * gibibyte}}}
	})},
	{"tenant: being copied", Copying, []string{"is being copied: 1Gi in 7 files"}, false, sound(restoring, unseen, refused("code = Aborted desc = busy: uuid-a.snapshots.snapshot-1 is being copied: 1Gi in 7 files, of some 4Gi"))},
	{"no room where the snapshot is", SourceNoRoom, []string{"only disk /mnt/a of node a has what the claim begins as", "it has room for 512Mi, 1Gi is asked for: 512Mi too little"}, false, sound(restoring, func(w *World) {
		w.Answers[0].Disks.Disks[0].AvailableBytes = gibibyte / 2
	})},
	{"no room where the claim to clone is, and no pod", SourceNoRoom, []string{"512Mi too little", "kubectl hostdir snapshots -A --node a"}, false, sound(cloning, noPods, func(w *World) {
		w.Answers[0].Disks.Disks[0].AvailableBytes = gibibyte / 2
	})},
	{"no room, by the scheduler's figures", SourceNoRoom, []string{"the scheduler knows of room for 512Mi"}, true, sound(restoring, func(w *World) {
		w.Answers = nil
		w.Capacities[0].MaximumVolumeSize.Set(gibibyte / 2)
	})},
	{"tenant: no room where the snapshot is", SourceNoRoom, []string{"512Mi is missing"}, false, sound(restoring, unseen,
		told("RestoreNoRoom", "only node a has VolumeSnapshot nightly, and it does not take the claim now: 1Gi is asked for, it has room for 512Mi, 512Mi is missing. Make room there"))},
	{"tenant: no room, as hostdir says", SourceNoRoom, []string{"has room for"}, false, sound(restoring, unseen,
		refused("code = ResourceExhausted desc = no room on this node: only the disk /mnt/a has x: /mnt/a has room for 512Mi, 1Gi is required"))},
	{"the snapshot's disk is cordoned", DiskCordoned, []string{"disks uncordon /mnt/a"}, false, sound(restoring, func(w *World) {
		w.Answers[0].Disks.Disks[0].State, w.Answers[0].Disks.Disks[0].Cordoned = admin.CordonedOff, "somebody said so"
	})},
	{"the snapshot's disk is away", DiskAbsent, []string{"no disk is mounted there"}, false, sound(restoring, func(w *World) {
		d := &w.Answers[0].Disks.Disks[0]
		d.State, d.Reason, d.Message, d.UUID = admin.Unusable, "absent", "no disk is mounted there", ""
		w.Answers[0].Snapshots = nil
	})},
	{"another disk in its place", DiskMissing, []string{"the disk that has VolumeSnapshot shop/nightly is not on node a"}, false, sound(restoring, func(w *World) {
		w.Answers[0].Disks.Disks[0].UUID, w.Answers[0].Snapshots = "uuid-new", nil
	})},
	{"a limit that the snapshot's disk has not", QuotaMissing, nil, false, sound(restoring, func(w *World) {
		w.Claims[0].Class.Parameters["quota"] = string(config.QuotaRequired)
		w.Answers[0].Disks.Disks[0].Quota = admin.NoQuota
	})},
	{"sent a moment ago", UnderWay, nil, false, sound(restoring, noPods, func(w *World) { w.Claims[0].Object.CreationTimestamp = metav1.NewTime(testNow) })},
}
