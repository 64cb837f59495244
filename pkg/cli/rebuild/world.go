// Package rebuild makes PersistentVolumes, and claims, of the records on the nodes'
// disks: for a cluster whose etcd is lost, a node that got another name, a disk that
// moved to another node. Collect sees what there is, Plan decides for each volume, and
// Source.Do does it. What only a person can decide is told, and left alone.
package rebuild

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/why"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Volume is what a node has.
type Volume struct {
	Node string
	admin.Adoptable
	// Quarantine is why its record cannot be read, "" if it can.
	Quarantine string
}

// Volumes are those of a node's answer, also those of which it knows no more.
func Volumes(node string, a admin.Adoptables) (all []Volume) {
	for _, v := range a.Volumes {
		all = append(all, Volume{Node: node, Adoptable: v})
	}
	for _, l := range a.LeftOut {
		v := Volume{Node: node, Adoptable: l.Adoptable}
		if l.Quarantine {
			v.Quarantine = l.Why
		}
		all = append(all, v)
	}
	return all
}

// World is what a plan is made of.
type World struct {
	// Driver is hostdir's name for CSI.
	Driver            string
	Volumes           []Volume
	PersistentVolumes []corev1.PersistentVolume
	Claims            []corev1.PersistentVolumeClaim
	Classes           []storagev1.StorageClass
	Namespaces        []corev1.Namespace
	// Pods are those of the namespaces in which a claim's volume is on another node
	// than its PersistentVolume says.
	Pods []corev1.Pod
	// Notes are exchanges that have begun.
	Notes []Note
}

// Source is a cluster.
type Source struct {
	Clients kubernetes.Interface
	// System is the namespace that hostdir runs in, Driver its name for CSI.
	System, Driver string
}

// Collect asks the API server for all that concerns the volumes.
func (s Source) Collect(ctx context.Context, volumes []Volume) (*World, error) {
	w := &World{Driver: s.Driver, Volumes: volumes}
	all := metav1.ListOptions{}
	persistentVolumes, err := s.Clients.CoreV1().PersistentVolumes().List(ctx, all)
	if err != nil {
		return nil, err
	}
	claims, err := s.Clients.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, all)
	if err != nil {
		return nil, err
	}
	classes, err := s.Clients.StorageV1().StorageClasses().List(ctx, all)
	if err != nil {
		return nil, err
	}
	namespaces, err := s.Clients.CoreV1().Namespaces().List(ctx, all)
	if err != nil {
		return nil, err
	}
	if w.Notes, err = s.notes(ctx); err != nil {
		return nil, err
	}
	w.PersistentVolumes, w.Claims, w.Classes, w.Namespaces = persistentVolumes.Items, claims.Items, classes.Items, namespaces.Items
	seen := map[string]bool{}
	for _, v := range volumes {
		for _, p := range w.having(v.ID) {
			if pv.Node(p, s.Driver) == v.nodeName() || p.Spec.ClaimRef == nil || seen[p.Spec.ClaimRef.Namespace] {
				continue
			}
			seen[p.Spec.ClaimRef.Namespace] = true
			pods, err := s.Clients.CoreV1().Pods(p.Spec.ClaimRef.Namespace).List(ctx, all)
			if err != nil {
				return nil, err
			}
			w.Pods = append(w.Pods, pods.Items...)
		}
	}
	return w, nil
}

// nodeName is the node as PersistentVolumes name it.
func (v Volume) nodeName() string { return v.NodeLabels[v.Driver+"/node"] }

// having are the PersistentVolumes of a volume.
func (w *World) having(id string) (found []*corev1.PersistentVolume) {
	for i := range w.PersistentVolumes {
		if p := &w.PersistentVolumes[i]; pv.Is(p, w.Driver) && p.Spec.CSI.VolumeHandle == id {
			found = append(found, p)
		}
	}
	return found
}

func (w *World) persistentVolume(name string) *corev1.PersistentVolume {
	for i := range w.PersistentVolumes {
		if w.PersistentVolumes[i].Name == name {
			return &w.PersistentVolumes[i]
		}
	}
	return nil
}

func (w *World) claim(c admin.Claim) *corev1.PersistentVolumeClaim {
	for i := range w.Claims {
		if w.Claims[i].Namespace == c.Namespace && w.Claims[i].Name == c.Name {
			return &w.Claims[i]
		}
	}
	return nil
}

// holder is the claim that names a PersistentVolume as its own: it says more than the
// record, which knows only for which one the volume was made.
func (w *World) holder(persistentVolume string) *corev1.PersistentVolumeClaim {
	for i := range w.Claims {
		if persistentVolume != "" && w.Claims[i].Spec.VolumeName == persistentVolume {
			return &w.Claims[i]
		}
	}
	return nil
}

func (w *World) hasNamespace(name string) bool {
	for i := range w.Namespaces {
		if w.Namespaces[i].Name == name && w.Namespaces[i].DeletionTimestamp == nil {
			return true
		}
	}
	return false
}

// runningWith is a pod that runs with a claim on some node, "" if none does.
func runningWith(pods []corev1.Pod, c admin.Claim) string {
	for _, p := range pods {
		if p.Namespace == c.Namespace && p.Spec.NodeName != "" && why.Uses(&p, c.Name) {
			return p.Namespace + "/" + p.Name
		}
	}
	return ""
}
