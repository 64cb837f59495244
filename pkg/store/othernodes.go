package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/klog/v2"
)

// A volume's record names the node that it was made on. On another node it is there
// because its disk was moved, or the node was renamed, and is as good as any. Or the
// node is a clone: then the volume takes room and belongs to nobody. hostdir cannot
// know which it is, so it tells.

// NodeVolumes is how many volumes of a disk were made on a node.
type NodeVolumes struct {
	Node    string `json:"node"`
	Volumes int    `json:"volumes"`
}

// String is for people.
func (n NodeVolumes) String() string { return fmt.Sprintf("%s: %d", n.Node, n.Volumes) }

// otherNodes returns how many volumes were made on each other node, most first.
func (s *volumeSet) otherNodes() []NodeVolumes {
	var all []NodeVolumes
	for node, n := range s.elsewhere {
		all = append(all, NodeVolumes{node, n})
	}
	slices.SortFunc(all, func(a, b NodeVolumes) int {
		return cmp.Or(b.Volumes-a.Volumes, strings.Compare(a.Node, b.Node))
	})
	return all
}

// logOtherNodes says which nodes the volumes of a disk are from that was taken into
// use, if they are not from this one.
func (d *diskState) logOtherNodes(log klog.Logger) {
	d.mu.Lock()
	all := d.volumes.otherNodes()
	d.mu.Unlock()
	if len(all) == 0 {
		return
	}
	log.Info("this disk has volumes that were made on another node: it was moved here, or this node renamed; "+
		"or this machine is a clone, and its copies of them take room and belong to nobody", "madeOn", all, "thisNode", d.volumes.node)
}
