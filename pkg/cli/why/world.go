package why

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pod"
)

// Subject is what is asked about.
type Subject struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Kind is ClaimKind or PodKind; with "" a claim is meant, or if there is none a pod.
	Kind string `json:"kind,omitempty"`
}

// Kinds of subjects.
const (
	ClaimKind = "pvc"
	PodKind   = "pod"
)

// String is how a person writes it.
func (s Subject) String() string {
	if s.Kind == PodKind {
		return "pod " + s.Namespace + "/" + s.Name
	}
	return "claim " + s.Namespace + "/" + s.Name
}

// World is what there is around a claim or a pod, as far as it could be looked at.
type World struct {
	Subject Subject
	// Driver is the CSI driver's name, System the namespace that hostdir runs in.
	Driver, System string
	// Pod is the subject, nil if that is a claim.
	Pod *corev1.Pod
	// Claims are what is asked about: the claim, or those of the pod. Others are the
	// other claims of the pods.
	Claims, Others []Claim
	// Pods are those that use one of Claims.
	Pods []corev1.Pod

	Nodes      []corev1.Node
	CSINodes   []storagev1.CSINode
	CSIDriver  *storagev1.CSIDriver
	Capacities []storagev1.CSIStorageCapacity
	// Events are about claims, pods and volumes, the newest first.
	Events []corev1.Event
	// Plugins are the node plugin's pods, Controllers hostdir-controller's.
	Plugins, Controllers []corev1.Pod
	// Answers are the node plugins', of the nodes that were asked.
	Answers []Answer
	Unseen  []Unseen
	// Now is when all that was looked at.
	Now time.Time
}

// Claim is one and what belongs to it.
type Claim struct {
	Namespace, Name string
	// Object is nil if there is no such claim.
	Object *corev1.PersistentVolumeClaim
	Class  *storagev1.StorageClass
	// Origin is what a claim that has no volume is to begin as a copy of, nil if it begins
	// empty.
	Origin *Origin
	// Volume is the claim's; of a claim that is gone, the one that it left.
	Volume *corev1.PersistentVolume
	// Reserved are the volumes kept for whichever claim has the name.
	Reserved []corev1.PersistentVolume
}

// Answer is a node plugin's.
type Answer struct {
	Node  string
	Disks admin.Disks
	// Volumes and Findings are of the one node that has the volume; Listed says that
	// Volumes were asked for and answered.
	Volumes  []admin.Volume
	Listed   bool
	Findings []admin.Finding
	// Snapshots are of a node with a disk on which a claim is to begin as a copy, nil if
	// they were not asked for.
	Snapshots *admin.Snapshots
}

// What is a kind of thing to look at.
type What string

// The kinds, in the words of the message about one that could not be looked at.
const (
	Claims     What = "claims"
	Pods       What = "pods"
	Classes    What = "StorageClasses"
	Volumes    What = "PersistentVolumes"
	Nodes      What = "nodes"
	CSINodes   What = "CSINodes"
	CSIDrivers What = "CSIDrivers"
	Capacities What = "CSIStorageCapacities"
	Events     What = "events"
	// VolumeEvents are in another namespace than the claim's.
	VolumeEvents What = "events about PersistentVolumes"
	PluginPods   What = "hostdir's pods"
	Snapshots    What = "VolumeSnapshots"
	Contents     What = "VolumeSnapshotContents"
	NodePlugins  What = "hostdir on the nodes"
)

// Unseen is what could not be looked at, and why.
type Unseen struct {
	What What   `json:"what"`
	Why  string `json:"why"`
}

func (u Unseen) String() string { return fmt.Sprintf("could not look at %s: %s", u.What, u.Why) }

// saw reports whether all of these could be looked at.
func (w *World) saw(kinds ...What) bool {
	for _, u := range w.Unseen {
		for _, kind := range kinds {
			if u.What == kind {
				return false
			}
		}
	}
	return true
}

func (w *World) node(name string) *corev1.Node {
	for i := range w.Nodes {
		if w.Nodes[i].Name == name {
			return &w.Nodes[i]
		}
	}
	return nil
}

func (w *World) answer(node string) *Answer {
	for i := range w.Answers {
		if w.Answers[i].Node == node {
			return &w.Answers[i]
		}
	}
	return nil
}

// plugin returns the node plugin's pod on a node, the one that is ready of several.
func (w *World) plugin(node string) *corev1.Pod {
	var found *corev1.Pod
	for i := range w.Plugins {
		if p := &w.Plugins[i]; p.Spec.NodeName == node && (found == nil || !isReady(found)) {
			found = p
		}
	}
	return found
}

// registered reports whether kubelet on a node has the driver; known is false if
// nobody could tell.
func (w *World) registered(node string) (yes, known bool) {
	for _, n := range w.CSINodes {
		if n.Name != node {
			continue
		}
		for _, d := range n.Spec.Drivers {
			if d.Name == w.Driver {
				return true, true
			}
		}
	}
	return false, w.saw(CSINodes)
}

// roomSeen is the largest volume of a class that the scheduler believes a node can
// take; known is false if it was told nothing.
func (w *World) roomSeen(class, node string) (bytes int64, known bool) {
	for _, c := range w.Capacities {
		if c.StorageClassName != class || c.NodeTopology == nil || c.NodeTopology.MatchLabels[w.Driver+"/node"] != node {
			continue
		}
		switch {
		case c.MaximumVolumeSize != nil:
			bytes = max(bytes, c.MaximumVolumeSize.Value())
		case c.Capacity != nil:
			bytes = max(bytes, c.Capacity.Value())
		}
		known = true
	}
	return bytes, known
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// hasEnded reports whether a pod needs its volumes no more.
func hasEnded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Uses reports whether a pod uses the claim of this name, or waits for it.
func Uses(p *corev1.Pod, claim string) bool {
	return !hasEnded(p) && slices.Contains(pod.Claims(p), claim)
}

// BeginsAs returns what a claim begins as a copy of, in a namespace: the kind is
// VolumeSnapshot, PersistentVolumeClaim or another one that somebody else knows, "" if
// the claim begins empty.
func BeginsAs(c *corev1.PersistentVolumeClaim) (kind, namespace, name string) {
	namespace = c.Namespace
	switch ref := c.Spec.DataSourceRef; {
	case ref != nil:
		if ref.Namespace != nil && *ref.Namespace != "" {
			namespace = *ref.Namespace
		}
		return ref.Kind, namespace, ref.Name
	case c.Spec.DataSource != nil:
		return c.Spec.DataSource.Kind, namespace, c.Spec.DataSource.Name
	}
	return "", "", ""
}
