package why

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
)

const (
	testDriver = "csi.hostdir.io"
	testSystem = "hostdir-system"
	gibibyte   = int64(1) << 30
)

var testNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// sound is a cluster of two nodes, a and b, in which claim shop/data of 1Gi is bound on
// a and used by pod web. Changes make of it what a test is about.
func sound(changes ...func(*World)) *World {
	w := &World{
		Subject: Subject{Namespace: "shop", Name: "data", Kind: ClaimKind}, Driver: testDriver, System: testSystem, Now: testNow,
		Claims:    []Claim{testClaim("data")},
		Pods:      []corev1.Pod{*testPod("web", "data")},
		CSIDriver: &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: testDriver}},
		Controllers: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Name: "hostdir-controller-0", Namespace: testSystem, Labels: labelsOf("controller")},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionTrue)},
		}},
	}
	for _, node := range []string{"a", "b"} {
		w.Nodes = append(w.Nodes, corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelHostname: node}},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		})
		w.CSINodes = append(w.CSINodes, storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: testDriver}}}})
		w.Plugins = append(w.Plugins, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "hostdir-node-" + node, Namespace: testSystem, Labels: labelsOf("node")},
			Spec:       corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionTrue), ContainerStatuses: []corev1.ContainerStatus{
				{Name: "hostdir", Ready: true}, {Name: "csi-provisioner", Ready: true},
			}},
		})
		w.Capacities = append(w.Capacities, storagev1.CSIStorageCapacity{
			ObjectMeta:   metav1.ObjectMeta{Name: "csisc-" + node, Namespace: testSystem},
			NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{testDriver + "/node": node}}, StorageClassName: "hostdir",
			MaximumVolumeSize: resource.NewQuantity(50*gibibyte, resource.BinarySI),
		})
		w.Answers = append(w.Answers, Answer{Node: node, Listed: true, Disks: admin.Disks{Disks: []admin.Disk{{
			Pool: "default", Path: "/mnt/" + node, UUID: "uuid-" + node, State: admin.Ready, AvailableBytes: 50 * gibibyte, Quota: "xfs",
		}}}})
	}
	w.Answers[0].Volumes = []admin.Volume{{ID: "uuid-a.pvc-data", Pool: "default", Path: "/mnt/a/volumes/pvc-data/data"}}
	for _, change := range changes {
		change(w)
	}
	return w
}

func labelsOf(component string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": component}
}

func ready(is corev1.ConditionStatus) []corev1.PodCondition {
	return []corev1.PodCondition{{Type: corev1.PodReady, Status: is}}
}

// testClaim is one that is bound on node a.
func testClaim(name string) Claim {
	class, wait, grows := "hostdir", storagev1.VolumeBindingWaitForFirstConsumer, true
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	return Claim{
		Namespace: "shop", Name: name,
		Object: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: "shop", UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(testNow.Add(-time.Hour)),
				Finalizers: []string{pvcProtection},
			},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class,
				Resources: corev1.VolumeResourceRequirements{Requests: size.DeepCopy()}, VolumeName: "pvc-" + name,
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size.DeepCopy()},
		},
		Class: &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: testDriver, VolumeBindingMode: &wait, AllowVolumeExpansion: &grows,
			Parameters: map[string]string{},
		},
		Volume: &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + name, UID: types.UID("uid-pv-" + name)},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size.DeepCopy(), StorageClassName: class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
				ClaimRef:                      &corev1.ObjectReference{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
				PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: testDriver, VolumeHandle: "uuid-a.pvc-" + name}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: testDriver + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}},
				}}}},
			},
			Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
		},
	}
}

// testPod runs on node a.
func testPod(name string, claims ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID("uid-pod-" + name), CreationTimestamp: metav1.NewTime(testNow.Add(-time.Hour))},
		Spec:       corev1.PodSpec{NodeName: "a"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionTrue)},
	}
	for _, claim := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
	return p
}

// pending undoes the binding; the pod waits for a node.
func pending(w *World) {
	unbind(&w.Claims[0])
	w.Answers[0].Volumes = nil
	waiting(w, "0/2 nodes are available: 2 "+"node(s) "+noRoomWords+".")
}

func unbind(c *Claim) {
	c.Object.Spec.VolumeName, c.Volume = "", nil
	c.Object.Status.Phase, c.Object.Status.Capacity = corev1.ClaimPending, nil
}

// waiting takes the pods their node, as the scheduler says.
func waiting(w *World, text string) {
	for i := range w.Pods {
		p := &w.Pods[i]
		p.Spec.NodeName = ""
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: text,
		}}}
	}
}

// creating has the pods wait for their volumes on their node.
func creating(w *World) {
	for i := range w.Pods {
		w.Pods[i].Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: ready(corev1.ConditionFalse)}
	}
}

// warned adds an event, as the newest.
func warned(kind, name, reason, text string) func(*World) {
	return happened(corev1.EventTypeWarning, kind, name, reason, text)
}

func happened(severity, kind, name, reason, text string) func(*World) {
	return func(w *World) {
		w.Events = append([]corev1.Event{{
			InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Type: severity, Reason: reason, Message: text, LastTimestamp: metav1.NewTime(testNow),
		}}, w.Events...)
	}
}

// refused is csi-provisioner's event.
func refused(text string) func(*World) {
	return warned("PersistentVolumeClaim", "data", "ProvisioningFailed", `failed to provision volume with StorageClass "hostdir": rpc error: `+text)
}

// unseen forgets what a person with rights in one namespace does not see.
func unseen(w *World) {
	for _, what := range []What{Classes, Volumes, Nodes, CSINodes, CSIDrivers, Capacities, PluginPods, NodePlugins, VolumeEvents, Snapshots, Contents} {
		w.Unseen = append(w.Unseen, Unseen{what, "you may not"})
	}
	for i := range w.Claims {
		c := &w.Claims[i]
		c.Class, c.Volume, c.Reserved = nil, nil, nil
		if o := c.Origin; o != nil {
			c.Origin = &Origin{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Claim: o.Claim}
		}
	}
	w.Nodes, w.CSINodes, w.CSIDriver, w.Capacities, w.Plugins, w.Controllers, w.Answers = nil, nil, nil, nil, nil, nil, nil
}

// disks changes all disks of the nodes.
func disks(change func(*admin.Disk)) func(*World) {
	return func(w *World) {
		for i := range w.Answers {
			for j := range w.Answers[i].Disks.Disks {
				change(&w.Answers[i].Disks.Disks[j])
			}
		}
	}
}

func unusable(reason admin.Reason, text string) func(*World) {
	return disks(func(d *admin.Disk) {
		d.State, d.Reason, d.Message, d.UUID = admin.Unusable, reason, text, ""
	})
}

func deleting(w *World) {
	now := metav1.NewTime(testNow)
	w.Claims[0].Object.DeletionTimestamp = &now
}

// left is what a deleted claim leaves.
func left(w *World) {
	w.Claims[0].Object, w.Claims[0].Class, w.Pods = nil, nil, nil
	w.Claims[0].Volume.Status.Phase = corev1.VolumeReleased
}

// growing asks for 5Gi.
func growing(w *World) {
	w.Claims[0].Object.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("5Gi")
}

func resized(w *World) {
	growing(w)
	w.Claims[0].Volume.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse("5Gi")
	w.Claims[0].Object.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, Message: "waiting for user to start a pod"}}
}

func reserve(w *World) {
	kept := testClaim("data").Volume
	kept.Name, kept.Spec.ClaimRef.UID, kept.Status.Phase = "reuse-1", "", corev1.VolumeAvailable
	w.Claims[0].Reserved = []corev1.PersistentVolume{*kept}
}

func noPods(w *World) { w.Pods = nil }

// restoring has the claim wait for a copy of a VolumeSnapshot, which is on node a.
func restoring(w *World) {
	pending(w)
	waiting(w, "0/2 nodes are available: 2 node(s) "+noVolumeWords+".")
	group := snapshotGroup
	w.Claims[0].Object.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: &group, Kind: snapshotKind, Name: "nightly"}
	w.Claims[0].Origin = &Origin{
		Kind: snapshotKind, Namespace: "shop", Name: "nightly",
		Snapshot: &Snapshot{Content: "content-1", Ready: true, SizeBytes: gibibyte},
		Content:  &Content{Name: "content-1", Driver: testDriver, Handle: "uuid-a.snapshots.snapshot-1", Node: "a"},
	}
	w.Answers[0].Snapshots = &admin.Snapshots{Snapshots: []admin.Snapshot{{
		ID: "uuid-a.snapshots.snapshot-1", VolumeSnapshot: &admin.Claim{Namespace: "shop", Name: "nightly"}, Path: "/mnt/a/snapshots/snapshot-1/data", Ready: true,
	}}}
}

// cloning has it wait for a copy of claim logs, which is on node a.
func cloning(w *World) {
	restoring(w)
	source := testClaim("logs")
	w.Claims[0].Object.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: claimKind, Name: "logs"}
	w.Claims[0].Origin = &Origin{Kind: claimKind, Namespace: "shop", Name: "logs", Claim: source.Object, Volume: source.Volume}
	w.Answers[0].Snapshots = &admin.Snapshots{}
}

// ofOrigin changes what the claim begins as.
func ofOrigin(change func(*Origin)) func(*World) {
	return func(w *World) { change(w.Claims[0].Origin) }
}

// told is an event of hostdir-controller.
func told(reason, text string) func(*World) {
	return warned("PersistentVolumeClaim", "data", reason, text)
}
