package driver

import (
	"crypto/sha256"
	"fmt"
	"maps"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// maxLabel is the longest value of a label in Kubernetes.
const maxLabel = 63

// topologyKey is the node label that kubelet sets from NodeGetInfo. It must
// never change: volumes are bound to it.
func (d *Driver) topologyKey() string { return d.Name + "/node" }

// topology returns the one segment in which this node's volumes are accessible.
func (d *Driver) topology() *csi.Topology {
	return &csi.Topology{Segments: d.NodeLabels()}
}

// NodeLabels returns the labels of the one node on which its volumes are
// accessible.
func (d *Driver) NodeLabels() map[string]string {
	return map[string]string{d.topologyKey(): topologyValue(d.NodeName)}
}

// topologyValue shortens a node's name that is too long for a label, and keeps
// it unique.
func topologyValue(nodeName string) string {
	if len(nodeName) <= maxLabel {
		return nodeName
	}
	hash := fmt.Sprintf("-%x", sha256.Sum256([]byte(nodeName)))[:11]
	return nodeName[:maxLabel-len(hash)] + hash
}

// checkAccessible returns ErrNoSpace if a new volume must be accessible from
// elsewhere: the provisioner then asks for another node.
func (d *Driver) checkAccessible(r *csi.TopologyRequirement) error {
	if len(r.GetRequisite()) == 0 {
		return nil
	}
	here := d.topology().GetSegments()
	for _, t := range r.GetRequisite() {
		if maps.Equal(t.GetSegments(), here) {
			return nil
		}
	}
	return fmt.Errorf("%w: the volume must be accessible from %v, this node offers %v", errdefs.ErrNoSpace, r.GetRequisite(), here)
}
