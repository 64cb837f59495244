package cli

import (
	"fmt"
	"slices"

	"github.com/hostdir/hostdir/pkg/admin"
)

// problem is something that is wrong, and the command that mends it or says more.
type problem struct {
	About string `json:"about"`
	Says  string `json:"says"`
	Mend  string `json:"mend"`
}

func (o *overview) wrong(about, says, mend string) {
	o.Problems = append(o.Problems, problem{about, says, mend})
}

// addNode notes a node's disks, and what it says is wrong with them.
func (o *overview) addNode(s *session, node string, v nodeView) {
	if v.disks.ConfigError != "" {
		o.wrong("node "+node, "the configuration is refused, the last good one is in force: "+v.disks.ConfigError,
			fmt.Sprintf("kubectl -n %s edit configmap hostdir-node, or helm upgrade with other values", s.system))
	}
	o.Volumes += len(v.volumes)
	for _, d := range v.disks.Disks {
		o.Disks = append(o.Disks, nodeDisk{node, d})
		o.addDisk(node, d)
	}
	quarantined, unlimited := 0, 0
	var why string
	for _, of := range v.volumes {
		switch {
		case of.Quarantine != "":
			quarantined, why = quarantined+1, of.Quarantine
		case of.Quota != "" && of.Quota != admin.NoQuota && !of.Enforced && served(v.disks.Disks, of):
			unlimited++
		}
	}
	if quarantined > 0 {
		o.wrong("node "+node, fmt.Sprintf("volumes in quarantine, which are neither published nor deleted: %d; for instance: %s", quarantined, why), "kubectl hostdir check --node "+node)
	}
	if unlimited > 0 {
		o.wrong("node "+node, fmt.Sprintf("volumes whose quota is not in force: %d; they can fill their disk", unlimited), "kubectl hostdir check --node "+node)
	}
}

// served reports whether the volume's disk serves: what is wrong with one that does
// not is said once.
func served(disks []admin.Disk, v admin.Volume) bool {
	return !slices.ContainsFunc(disks, func(d admin.Disk) bool {
		return d.State == admin.Unusable && d.UUID != "" && len(v.ID) > len(d.UUID) && v.ID[:len(d.UUID)+1] == d.UUID+"."
	})
}

func (o *overview) addDisk(node string, d admin.Disk) {
	about := fmt.Sprintf("node %s, disk %s", node, d.Path)
	at := node + ":" + d.Path
	switch d.State {
	case admin.Unusable:
		o.wrong(about, "it is not used: "+d.Message, mendDisk(node, at, d))
	case admin.CordonedOff:
		o.wrong(about, "it takes no new volumes: "+d.Cordoned, "kubectl hostdir disks uncordon "+at)
	case admin.NoNewVolumes:
		o.wrong(about, "it takes no new volumes: "+d.Message, "kubectl hostdir check --node "+node)
	}
	if d.Stuck > 0 {
		o.wrong(about, fmt.Sprintf("deleted volumes that cannot be removed: %d", d.Stuck), "kubectl hostdir trash --node "+node+" -o wide says why")
	}
}

// mendDisk is what helps against the reason for which a disk is not used.
func mendDisk(node, at string, d admin.Disk) string {
	switch d.Reason {
	case "absent":
		return fmt.Sprintf("mount it at %s on %s; hostdir uses it at once", d.Path, node)
	case "exchanged", "copied", "owned":
		return "kubectl hostdir disks accept " + at + ", if it is the right one: it is shown first"
	case "unresponsive":
		return fmt.Sprintf("look at the disk itself: dmesg on %s; hostdir uses it again once it answers", node)
	case "pending":
		return "wait a moment: it is being read. kubectl hostdir disks --node " + node + " -w"
	}
	return "kubectl hostdir check --node " + node
}
