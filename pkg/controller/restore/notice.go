package restore

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostdir/hostdir/pkg/controller/notice"
)

func (w *world) tell(kind, reason, text string) *notice.Notice {
	return &notice.Notice{About: w.claim, Kind: kind, Reason: reason, Action: "SelectNode", Text: text}
}

// waiting is nothing to worry about: people make claims before what they begin as.
func (w *world) waiting() *notice.Notice {
	return w.tell(corev1.EventTypeNormal, "RestoreWaiting", fmt.Sprintf("the claim waits for %s: %s", w.origin.what, w.origin.waits))
}

func (w *world) refused() *notice.Notice {
	return w.tell(corev1.EventTypeWarning, "RestoreRefused", fmt.Sprintf("the claim cannot begin as %s: %s. Use a class of the driver that has it", w.origin.what, w.origin.never))
}

func (w *world) unknownNode() *notice.Notice {
	return w.tell(corev1.EventTypeWarning, "RestoreNodeUnknown", fmt.Sprintf("nothing says which node has %s: label its VolumeSnapshotContent with %s=NODE", w.origin.what, managedBy))
}

func (w *world) nodeGone() *notice.Notice {
	return w.tell(corev1.EventTypeWarning, "RestoreNodeGone", fmt.Sprintf("only node %s has %s, and there is no such node: the claim waits for it", w.origin.nodeName, w.origin.what))
}

// refusal is why a node did not make a volume.
type refusal struct {
	// said is csi-provisioner's last event, "" if there is none.
	said string
	// free is what the node can give to the claim's class, nil if that is not known.
	free *resource.Quantity
}

func (w *world) noRoom() *notice.Notice {
	asked := w.claim.Spec.Resources.Requests[corev1.ResourceStorage]
	text := fmt.Sprintf("only node %s has %s, and it does not take the claim now", w.origin.node.Name, w.origin.what)
	if r := w.refusal; r.free != nil && r.free.Cmp(asked) < 0 {
		missing := asked.DeepCopy()
		missing.Sub(*r.free)
		text += fmt.Sprintf(": %s is asked for, it has room for %s, %s is missing", &asked, r.free, &missing)
	}
	text += ". Make room there; it is tried again at least every 5 minutes"
	if w.refusal.said != "" {
		text += ". csi-provisioner said: " + w.refusal.said
	}
	return w.tell(corev1.EventTypeWarning, "RestoreNoRoom", text)
}

// tied tells of a pod that cannot run where the data is.
func (w *world) tied(p *corev1.Pod, why []string) notice.Notice {
	return notice.Notice{About: p, Kind: corev1.EventTypeWarning, Reason: "RestoreElsewhere", Action: "SelectNode",
		Text: fmt.Sprintf("the claim %s begins as %s, which is on node %s and nowhere else, and this pod cannot run there: %s. Let it run there, or restore into a claim that a pod on the other node fills over the network",
			w.claim.Name, w.origin.what, w.origin.node.Name, strings.Join(why, "; "))}
}
