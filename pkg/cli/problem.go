package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

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
	if d.QuarantinedSnapshots > 0 {
		o.wrong(about, fmt.Sprintf("snapshots in quarantine, which are neither restored nor deleted: %d", d.QuarantinedSnapshots), "kubectl hostdir check --node "+node)
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

// addSilence notes a node that does not answer: that is wrong, unless the person just
// may not ask. Why a pod that is not ready does not answer is said already.
func (o *overview) addSilence(s *session, a answer[nodeView]) {
	if isForbidden(a.err) {
		o.Unseen.add("hostdir on the nodes", a.err)
		return
	}
	if !isReady(a.node.pod) {
		return
	}
	err := a.err
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the node's name, which is said before
	}
	o.wrong("node "+a.node.name, err.Error(), fmt.Sprintf("kubectl -n %s logs %s -c %s", s.system, a.node.pod.Name, container))
}

// addPod notes what Kubernetes says of hostdir on a node. A pod that is not ready is why
// kubelet does not know it.
func (o *overview) addPod(s *session, n *node, known, registered bool) {
	if !isReady(n.pod) {
		o.wrong("node "+n.name, fmt.Sprintf("hostdir's pod %s is not ready: %s", n.pod.Name, podWords(n.pod)), fmt.Sprintf("kubectl -n %s describe pod %s", s.system, n.pod.Name))
	} else if known && !registered {
		o.wrong("node "+n.name, "kubelet does not know hostdir: the CSINode does not name "+s.driver+", and no pod with its volumes starts there",
			fmt.Sprintf("kubectl -n %s logs %s -c %s; deleting the pod lets it register anew", s.system, n.pod.Name, container))
	}
}

// podWords is why a pod is not ready.
func podWords(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return "container " + c.Name + ": " + c.State.Waiting.Reason
		case c.State.Terminated != nil:
			return "container " + c.Name + ": " + c.State.Terminated.Reason
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Message != "" {
			return c.Message
		}
	}
	return "it is " + cmp.Or(string(p.Status.Phase), "Pending")
}

// addController notes that nobody does what is done once for the cluster.
func (o *overview) addController(s *session, deployments []appsv1.Deployment) {
	for _, d := range deployments {
		if d.Name != "hostdir-controller" || d.Spec.Replicas != nil && *d.Spec.Replicas == 0 || d.Status.AvailableReplicas > 0 {
			continue
		}
		o.wrong("hostdir-controller", "none of its pods is available: claims do not grow, lost nodes are not noticed, and claims bind more slowly",
			fmt.Sprintf("kubectl -n %s describe deployment %s", s.system, d.Name))
	}
}
