package why

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// What pods and their nodes have to do with it.

func notInstalled(v *view) *finding {
	if v.CSIDriver != nil || len(v.Plugins) > 0 || !v.saw(CSIDrivers, PluginPods) {
		return nil
	}
	return &finding{
		says:     "hostdir is not installed in this cluster",
		evidence: []string{"there is no CSIDriver " + v.Driver, "namespace " + v.System + " has no pod of the node plugin"},
		next:     "install the chart: docs/how-to/install.md. If hostdir is in another namespace, say --system-namespace",
	}
}

// nodeNameSet: the scheduler writes spec.nodeName of a pod after its claims are bound.
func nodeNameSet(v *view) *finding {
	if !v.isPending() || !v.waits() || v.Object.Annotations[selectedNode] != "" || v.controllerPlaces() {
		return nil
	}
	for _, p := range v.pods {
		if p.Spec.NodeName == "" {
			continue
		}
		return &finding{
			says:     fmt.Sprintf("pod %s has spec.nodeName, so the scheduler, which chooses the node of such claims, never sees it", p.Name),
			evidence: []string{fmt.Sprintf("spec.nodeName of pod %s is %s, and the claim has no annotation %s", p.Name, p.Spec.NodeName, selectedNode)},
			next:     fmt.Sprintf("take nodeName out of the pod, or of its template, and write nodeSelector: {%s: %s}", corev1.LabelHostname, p.Spec.NodeName),
		}
	}
	return nil
}

func nodeLost(v *view) *finding {
	if f := sourceNodeLost(v); f != nil {
		return f
	}
	place := v.place()
	if v.Object == nil && !v.isLeft() || place == "" && v.Volume != nil || v.isFine() && v.node(place) != nil {
		return nil
	}
	told := v.newest(ClaimKind, v.Name, "NodeLost", "NodeLossHeld", "NodeLossDryRun")
	if told == nil && v.Volume != nil {
		told = v.newest("pv", v.Volume.Name, "NodeLost", "NodeLossHeld", "NodeLossDryRun")
	}
	gone := place != "" && v.saw(Nodes) && v.node(place) == nil
	if !gone && (v.saw(Nodes) || told == nil || v.isFine()) {
		return nil
	}
	f := &finding{says: fmt.Sprintf("node %s is gone, and the volume with it", place), likely: !gone}
	if place == "" {
		f.says = "the node of the volume is gone"
	}
	if gone {
		f.evidence = append(f.evidence, fmt.Sprintf("there is no Node %s", place))
	}
	if v.Volume != nil {
		f.evidence = append(f.evidence, fmt.Sprintf("PersistentVolume %s is tied to it", v.Volume.Name))
		f.next = fmt.Sprintf("bring the node back; or, if it never returns, say so: kubectl annotate pv %s csi.hostdir.io/give-up=\"NAME, DATE\" (docs/how-to/node-loss.md)", v.Volume.Name)
	} else {
		f.says = fmt.Sprintf("node %s was chosen for the claim, and is gone", place)
		f.evidence = append(f.evidence, fmt.Sprintf("the claim has the annotation %s=%s", selectedNode, place))
		f.next = fmt.Sprintf("hostdir-controller gives the claim back to the scheduler once the node is lost; by hand: kubectl -n %s annotate pvc %s %s-", v.Namespace, v.Name, selectedNode)
	}
	if told != nil {
		f.evidence = append(f.evidence, saysOf(told))
	}
	return f
}

func nodeNotReady(v *view) *finding {
	place, has := v.place(), "the volume"
	if home, _ := v.home(); home != "" && v.isPending() {
		place, has = home, v.Origin.String()
	}
	n := v.node(place)
	if n == nil {
		return nil
	}
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady || c.Status == corev1.ConditionTrue {
			continue
		}
		return &finding{
			says:     fmt.Sprintf("node %s, which has %s, is not ready", n.Name, has),
			evidence: []string{fmt.Sprintf("its condition Ready is %s since %s: %s", c.Status, c.LastTransitionTime.UTC().Format("2006-01-02 15:04:05Z"), cmp.Or(oneLine(c.Message), c.Reason))},
			next:     "kubectl describe node " + n.Name,
		}
	}
	return nil
}

// nodeCordoned: a pod can only run where its volume is.
func nodeCordoned(v *view) *finding {
	n := v.node(v.place())
	pod, text := v.unscheduled()
	if n == nil || !n.Spec.Unschedulable || pod == nil || !v.isBound() {
		return nil
	}
	return &finding{
		says:     fmt.Sprintf("the volume is on node %s, which is cordoned: pod %s can run nowhere else", n.Name, pod.Name),
		evidence: []string{fmt.Sprintf("spec.unschedulable of node %s is true", n.Name), "the scheduler: " + oneLine(text)},
		next:     "kubectl uncordon " + n.Name,
	}
}

func podMisplaced(v *view) *finding {
	if !v.isBound() {
		return nil
	}
	place := v.place()
	for _, p := range v.starting() {
		e := v.newest(PodKind, p.Name, mountReasons...)
		told := e != nil && strings.Contains(e.Message, misplacedWords)
		if !told && (place == "" || p.Spec.NodeName == place) {
			continue
		}
		f := &finding{
			says:     fmt.Sprintf("pod %s is on node %s, and its volume is on another", p.Name, p.Spec.NodeName),
			evidence: []string{fmt.Sprintf("spec.nodeName of the pod is %s", p.Spec.NodeName)},
			next:     fmt.Sprintf("kubectl -n %s delete pod %s; the next one goes to the volume's node, unless its template has nodeName", p.Namespace, p.Name),
		}
		if place != "" {
			f.evidence = append(f.evidence, fmt.Sprintf("PersistentVolume %s is tied to node %s", v.Volume.Name, place))
		}
		if told {
			f.evidence = append(f.evidence, saysOf(e))
		}
		return f
	}
	return nil
}

// podUnschedulable is what the scheduler says if it does not speak of volumes, or
// speaks of them as of a matter of course.
func podUnschedulable(v *view) *finding {
	pod, text := v.unscheduled()
	if pod == nil {
		return nil
	}
	for _, words := range []string{noRoomWords, noDriverWords, noVolumeWords, unboundWords, boundToGoneWords, "not found", "is being deleted"} {
		if strings.Contains(text, words) {
			return nil
		}
	}
	if text == "" {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("the scheduler finds no node for pod %s, and not for lack of storage", pod.Name),
		evidence: []string{"the scheduler: " + oneLine(text)},
		next:     fmt.Sprintf("kubectl -n %s describe pod %s", pod.Namespace, pod.Name),
	}
	if place := v.place(); place != "" && v.isBound() {
		f.evidence = append(f.evidence, fmt.Sprintf("the volume is on node %s: the pod can run nowhere else", place))
	}
	return f
}

func noPod(v *view) *finding {
	if !v.isPending() || len(v.pods) > 0 || !v.waits() || len(v.Reserved) > 0 || v.Object.Annotations[selectedNode] != "" || v.Object.Spec.VolumeName != "" || v.controllerPlaces() {
		return nil
	}
	f := &finding{
		says:     "no pod uses the claim: a volume is made where the first pod runs",
		evidence: []string{"no pod of namespace " + v.Namespace + " names the claim"},
		next:     "make a pod that uses the claim. Nothing is wrong before there is one",
		likely:   !v.saw(Pods),
	}
	if v.Class != nil {
		f.evidence = append(f.evidence, fmt.Sprintf("volumeBindingMode of StorageClass %s is WaitForFirstConsumer", v.Class.Name))
	}
	if v.copies() {
		f.evidence = append(f.evidence, "no pod of hostdir-controller is ready, which would have the copy made without one")
	}
	if e := v.newest(ClaimKind, v.Name, "WaitForFirstConsumer"); e != nil {
		f.evidence = append(f.evidence, saysOf(e))
	}
	if f.likely && len(f.evidence) < 3 {
		return nil
	}
	return f
}

func waitsForReserved(v *view) *finding {
	if !v.isPending() {
		return nil
	}
	kept := v.Volume
	if name := v.Object.Spec.VolumeName; kept == nil && name != "" && v.saw(Volumes) {
		return &finding{
			says:     fmt.Sprintf("the claim names PersistentVolume %s, which is not there", name),
			evidence: []string{"spec.volumeName of the claim is " + name},
			next:     "kubectl get pv; make the PersistentVolume, or the claim anew without volumeName",
		}
	}
	if kept == nil && len(v.Reserved) > 0 {
		kept = &v.Reserved[0]
	}
	if kept == nil {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("PersistentVolume %s is kept for the claim, and is not bound to it yet", kept.Name),
		evidence: []string{fmt.Sprintf("it is %s, on node %s, and reserved for the claim", kept.Status.Phase, cmp.Or(pv.Node(kept, v.Driver), "unknown to its affinity"))},
		next:     "kubectl describe pv " + kept.Name + "; it is bound at once if nothing keeps it from that: docs/how-to/reuse.md",
	}
	if differs := mismatches(v, kept); len(differs) > 0 {
		f.says = fmt.Sprintf("PersistentVolume %s is kept for the claim, and does not fit it", kept.Name)
		f.evidence = append(f.evidence, differs...)
		f.next = fmt.Sprintf("make the claim anew to match, and raise the request once it is bound: kubectl -n %s delete pvc %s (docs/how-to/reuse.md)", v.Namespace, v.Name)
	}
	if e := v.newest(ClaimKind, v.Name, "ReuseMismatch", "ReuseRefused"); e != nil {
		f.evidence = append(f.evidence, saysOf(e))
	}
	return f
}

// mismatches says why the binder passes over a volume.
func mismatches(v *view, kept *corev1.PersistentVolume) (found []string) {
	has := kept.Spec.Capacity[corev1.ResourceStorage]
	if asked := resource.NewQuantity(v.asked(), resource.BinarySI); asked.Cmp(has) > 0 {
		found = append(found, fmt.Sprintf("the claim asks for %s, it has %s", config.FormatSize(v.asked()), config.FormatSize(has.Value())))
	}
	for _, mode := range v.Object.Spec.AccessModes {
		if !strings.Contains(fmt.Sprint(kept.Spec.AccessModes), string(mode)) {
			found = append(found, fmt.Sprintf("the claim asks for %s, it has %v", mode, kept.Spec.AccessModes))
		}
	}
	if class := v.className(); class != kept.Spec.StorageClassName {
		found = append(found, fmt.Sprintf("the claim has the class %q, it has %q", class, kept.Spec.StorageClassName))
	}
	return found
}
