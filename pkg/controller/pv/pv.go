// Package pv reads what hostdir wrote into a PersistentVolume, and its provisioner.
package pv

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/config"
)

// provisionedBy is csi-provisioner's annotation on what it made.
const provisionedBy = "pv.kubernetes.io/provisioned-by"

// Is reports whether a PersistentVolume is one of the driver.
func Is(v *corev1.PersistentVolume, driver string) bool {
	return v.Spec.CSI != nil && v.Spec.CSI.Driver == driver
}

// IsProvisioned reports whether the driver's provisioner made it, not a person.
func IsProvisioned(v *corev1.PersistentVolume, driver string) bool {
	return Is(v, driver) && v.Annotations[provisionedBy] == driver
}

// Reuse returns who gets the volume when its claim was deleted.
func Reuse(v *corev1.PersistentVolume) config.ReusePolicy {
	return config.ReusePolicy(v.Spec.CSI.VolumeAttributes[config.ReuseKey])
}

// OnNodeLoss returns what becomes of the volume when its node is gone for good.
func OnNodeLoss(v *corev1.PersistentVolume) config.NodeLossPolicy {
	return config.NodeLossPolicy(v.Spec.CSI.VolumeAttributes[config.NodeLossKey])
}

// Annotations by which people say what becomes of volumes whose node is gone.
const (
	// NodeLossAnnotation on a claim, or on a PersistentVolume, is what they want in
	// place of the class's onNodeLoss.
	NodeLossAnnotation = "csi.hostdir.io/on-node-loss"
	// GiveUpAnnotation on a PersistentVolume is a person's word that the volume is
	// lost: who and when.
	GiveUpAnnotation = "csi.hostdir.io/give-up"
)

// WantedOnNodeLoss returns what people want to become of a volume when its node is gone
// for good: by annotation of its claim, which may be nil, of itself, or by its class. It
// fails for an annotation that cannot be read, with NodeLossKeep or "".
func WantedOnNodeLoss(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) (config.NodeLossPolicy, error) {
	text := v.Annotations[NodeLossAnnotation]
	if c != nil && c.Annotations[NodeLossAnnotation] != "" {
		text = c.Annotations[NodeLossAnnotation]
	}
	if text == "" {
		if p := OnNodeLoss(v); p == config.NodeLossRelease || p == config.NodeLossRecreate {
			return p, nil
		}
		return config.NodeLossKeep, nil
	}
	return config.ParseNodeLoss(text)
}

// Node returns the name of the only node that has the volume, "" if it does not say
// one. Topology is by one label, driver/node.
func Node(v *corev1.PersistentVolume, driver string) string {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return ""
	}
	node := ""
	for _, term := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key != driver+"/node" || e.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if len(e.Values) != 1 || node != "" && node != e.Values[0] {
				return ""
			}
			node = e.Values[0]
		}
	}
	return node
}

// GivenUpAnnotation is on a PersistentVolume whose node or disk is lost, from the moment
// that its claim is being replaced: it is reserved for nobody, and no new claim gets it.
const GivenUpAnnotation = "csi.hostdir.io/given-up"

// GivenUp reports whether the volume is given up for lost.
func GivenUp(v *corev1.PersistentVolume) bool {
	_, ok := v.Annotations[GivenUpAnnotation]
	return ok
}

// Disk returns the UUID of the disk that has the volume.
func Disk(v *corev1.PersistentVolume) string {
	uuid, _, _ := strings.Cut(v.Spec.CSI.VolumeHandle, ".")
	return uuid
}

// DeletionFinalizer is csi-provisioner's: it stays until the volume is deleted.
const DeletionFinalizer = "external-provisioner.volume.kubernetes.io/finalizer"

// Protections are the finalizers that keep a PersistentVolume while a claim has it, and
// until its volume is deleted. They are taken from one that another replaces, whose policy
// is Retain.
var Protections = []string{"kubernetes.io/pv-protection", DeletionFinalizer}

// Affinity ties a volume to the nodes that have all of these labels.
func Affinity(labels map[string]string) *corev1.VolumeNodeAffinity {
	var here corev1.NodeSelectorTerm
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		here.MatchExpressions = append(here.MatchExpressions, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{labels[key]}})
	}
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{here}}}
}
