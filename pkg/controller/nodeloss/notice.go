package nodeloss

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// state is what people were told about a lost volume. It is written on the volume, so
// that each is told once.
type state string

const (
	kept        state = "kept"
	inUse       state = "in-use"
	noReplica   state = "no-waiting-replica"
	heldNodes   state = "held-too-many-nodes"
	heldHour    state = "held-too-many-volumes"
	heldReplica state = "held-other-replica"
	dryRun      state = "dry-run"
	diskLost    state = "disk-lost"
	badPolicy   state = "unknown-policy"
)

// notice returns the event about a state.
func (s step) notice(o Options) (reason, text string) {
	v, claim := s.volume, "no claim"
	if ref := v.Spec.ClaimRef; ref != nil {
		claim = "claim " + ref.Namespace + "/" + ref.Name
	}
	lost := fmt.Sprintf("node %s of volume %s (%s) is gone", s.node, v.Name, claim)
	if !s.absent {
		lost = fmt.Sprintf("disk %s of volume %s (%s) is given up", pv.Disk(v), v.Name, claim)
	}
	byHand := fmt.Sprintf("kubectl annotate pv %s %s=\"NAME, DATE\"", v.Name, pv.GiveUpAnnotation)
	switch s.state {
	case kept:
		return "NodeLost", lost + fmt.Sprintf("; the policy is keep: the volume waits for it. If it never returns, say so with the annotation %s=recreate on the claim, and see docs/how-to/node-loss.md", pv.NodeLossAnnotation)
	case inUse:
		return "NodeLost", lost + "; the volume is let go of once its claim is deleted"
	case noReplica:
		return "NodeLost", lost + "; the claim is made anew once a pod of the StatefulSet that made it is Pending, and no other pod uses it. Others than a StatefulSet's have to be deleted by hand"
	case heldNodes:
		return "NodeLossHeld", lost + ", and so are more than a tenth of the nodes within an hour: nothing is given up. Is the view of the API server right? If so, say it of this volume: " + byHand
	case heldHour:
		return "NodeLossHeld", lost + fmt.Sprintf("; %d volumes were given up within an hour, and no more are. This one waits until the hour is over, or for a person: %s", o.PerHour, byHand)
	case heldReplica:
		return "NodeLossHeld", lost + "; another replica of its StatefulSet was made anew before and is not Ready yet: this one waits for it"
	case dryRun:
		return "NodeLossDryRun", lost + "; without --node-loss-dry-run it would be given up now"
	case badPolicy:
		return "NodeLost", lost + fmt.Sprintf("; its annotation %s is none of keep, release and recreate: the volume waits for the node", pv.NodeLossAnnotation)
	case diskLost:
		return "DiskLost", fmt.Sprintf("node %s is back without the disk %s of volume %s (%s). Bring the disk back; if it is gone for good, say so: %s", s.node, pv.Disk(v), v.Name, claim, byHand)
	}
	return "NodeLost", lost
}

// about sends an event about a volume, and one about its claim if it has one.
func (l *nodeloss) about(s step, kind, reason, text string) {
	if s.volume != nil {
		l.recorder.Eventf(s.volume, nil, kind, reason, "NodeLoss", "%s", text)
	}
	if s.claim != nil {
		l.recorder.Eventf(s.claim, nil, kind, reason, "NodeLoss", "%s", text)
	}
}

// annotated returns a merge patch of annotations, and of more metadata, that fails if the
// object is another one, or was written since.
func annotated(o client.Object, annotations map[string]any, more map[string]any) map[string]any {
	metadata := map[string]any{"uid": o.GetUID(), "resourceVersion": o.GetResourceVersion(), "annotations": annotations}
	for key, value := range more {
		metadata[key] = value
	}
	return map[string]any{"metadata": metadata}
}
