package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What becomes of a volume that there is: mounted, deleted, kept.

func claimInUse(v *view) *finding {
	if !v.isDeleting() || !slices.Contains(v.Object.Finalizers, pvcProtection) || len(v.pods) == 0 {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("the claim is deleted once no pod uses it: %s", podNames(v.pods)),
		evidence: []string{"it has the finalizer " + pvcProtection},
		next:     fmt.Sprintf("kubectl -n %s delete pod %s", v.Namespace, strings.ReplaceAll(podNames(v.pods), ", ", " ")),
	}
	for _, p := range v.pods {
		f.evidence = append(f.evidence, fmt.Sprintf("pod %s uses it, and is %s", p.Name, cmp.Or(string(p.Status.Phase), "new")))
	}
	return f
}

func heldForReuse(v *view) *finding {
	if !v.isDeleting() || !slices.Contains(v.Object.Finalizers, reuseFinalizer) {
		return nil
	}
	f := &finding{
		says:     "the claim goes once its volume is reserved for the next claim of its name, which hostdir-controller does",
		evidence: []string{"it has the finalizer " + reuseFinalizer},
		next:     fmt.Sprintf("kubectl -n %s get deployment,pods -l app.kubernetes.io/component=controller; without hostdir the finalizer is taken off by hand: docs/how-to/reuse.md", v.System),
	}
	if v.saw(PluginPods) && !slices.ContainsFunc(v.Controllers, func(p corev1.Pod) bool { return isReady(&p) }) {
		f.evidence = append(f.evidence, "no pod of hostdir-controller is ready")
	}
	return f
}

func heldByFinalizer(v *view) *finding {
	if !v.isDeleting() {
		return nil
	}
	held := strings.Join(v.Object.Finalizers, ", ")
	if held == "" {
		held = "none"
	}
	f := &finding{
		says:     "the claim is deleted once its finalizers are taken off by whoever has set them: " + held,
		evidence: []string{"metadata.finalizers: " + held},
		next:     v.describe("pvc", v.Name),
	}
	if slices.Contains(v.Object.Finalizers, pvcProtection) {
		f.evidence = append(f.evidence, "no pod that uses the claim is seen: kube-controller-manager is about to take off "+pvcProtection)
		f.likely = !v.saw(Pods)
	}
	return f
}

// record returns what the node says of the volume, nil if it does not have it; known is
// false if it was not asked.
func (v *view) record() (path, quarantine string, found, known bool) {
	a := v.answer(v.place())
	if a == nil || !a.Listed || v.Volume == nil || v.Volume.Spec.CSI == nil {
		return "", "", false, false
	}
	for _, r := range a.Volumes {
		if r.ID == v.Volume.Spec.CSI.VolumeHandle {
			return r.Path, r.Quarantine, true, true
		}
	}
	return "", "", false, true
}

// findings returns what `hostdir check` says of the volume, if it is of these kinds.
func (v *view) findings(kinds ...string) []string {
	a := v.answer(v.place())
	if a == nil || v.Volume == nil || v.Volume.Spec.CSI == nil {
		return nil
	}
	var all []string
	for _, f := range a.Findings {
		if f.VolumeID == v.Volume.Spec.CSI.VolumeHandle && slices.Contains(kinds, f.Kind) {
			all = append(all, fmt.Sprintf("hostdir check on node %s: %s %s: %s", a.Node, f.Kind, f.Path, oneLine(f.Problem)))
		}
	}
	return all
}

func quarantined(v *view) *finding {
	if !v.isBound() && !v.isLeft() {
		return nil
	}
	f := &finding{
		says: "the volume is in quarantine: its record cannot be used, so it is neither published nor deleted. Its data is untouched",
		next: v.inPlugin(cmp.Or(v.place(), "NODE"), "check") + "; repair or restore volume.json, and hostdir takes it up within half a minute",
	}
	path, why, _, known := v.record()
	if why != "" {
		f.evidence = []string{fmt.Sprintf("node %s, %s: %s", v.place(), path, oneLine(why))}
		return f
	}
	if f.evidence = v.findings("Quarantined"); len(f.evidence) > 0 { // it may not have been read since
		return f
	}
	if known || v.isFine() {
		return nil
	}
	for _, e := range v.warnings() {
		if spokenOf(e.Message) == Quarantined {
			f.evidence = []string{saysOf(e)}
			return f
		}
	}
	return nil
}

func dataMissing(v *view) *finding {
	if !v.isBound() || v.isDeleting() {
		return nil
	}
	f := &finding{
		says: "the disk is healthy, and the volume's directory is not on it: somebody removed it, or btrfs left it behind in a rollback",
		next: v.inPlugin(cmp.Or(v.place(), "NODE"), "check") + "; bring the directory back from a backup, or delete the claim and make it anew, empty",
	}
	if a := v.answer(v.place()); a != nil {
		f.evidence = v.findings("DataMissing", "MissingVolume", "SubvolumeLeftBehind")
		if _, _, found, known := v.record(); known && !found && v.hinders().fits {
			f.evidence = append(f.evidence, fmt.Sprintf("node %s has the disk, and no volume %s", a.Node, v.Volume.Spec.CSI.VolumeHandle))
		}
	}
	if len(f.evidence) > 0 {
		return f
	}
	if v.isFine() {
		return nil
	}
	for _, e := range v.warnings() {
		if strings.Contains(e.Message, "is healthy, but has no") || strings.Contains(e.Message, "its data was left behind") || strings.Contains(e.Message, "its data directory") {
			f.evidence = []string{saysOf(e)}
			return f
		}
	}
	return nil
}

func volumeInUse(v *view) *finding {
	if !v.isLeft() {
		return nil
	}
	e := v.newest("pv", v.Volume.Name, "VolumeFailedDelete")
	if e == nil || !strings.Contains(e.Message, inUseWords) {
		return nil
	}
	return &finding{
		says:     "the claim is gone, and its volume is deleted once nothing has it mounted",
		evidence: []string{saysOf(e)},
		next:     fmt.Sprintf("see on node %s what has it mounted; it is tried again by itself", cmp.Or(v.place(), "NODE")),
	}
}

func deletionFails(v *view) *finding {
	if !v.isLeft() {
		return nil
	}
	f := &finding{
		says: "the claim is gone, and its volume is not deleted yet",
		evidence: []string{fmt.Sprintf("PersistentVolume %s is %s, with policy %s and finalizers %s", v.Volume.Name, v.Volume.Status.Phase,
			v.Volume.Spec.PersistentVolumeReclaimPolicy, cmp.Or(strings.Join(v.Volume.Finalizers, ", "), "none"))},
		next: v.describe("pv", v.Volume.Name),
	}
	if e := v.newest("pv", v.Volume.Name); e != nil {
		f.evidence = append(f.evidence, saysOf(e))
	} else {
		f.evidence = append(f.evidence, "no event says why")
		f.likely = true
	}
	return f
}

// mountReasons are those of kubelet's events about volumes.
var mountReasons = []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume", "VolumeResizeFailed"}

// mountFails is what kubelet says of a volume, in other words than those before.
func mountFails(v *view) *finding {
	for _, p := range v.starting() {
		e := v.newest(PodKind, p.Name, mountReasons...)
		if e == nil || mounted(p) {
			continue
		}
		return &finding{
			says:     fmt.Sprintf("kubelet on node %s cannot mount a volume of pod %s", p.Spec.NodeName, p.Name),
			evidence: []string{saysOf(e)},
			next:     fmt.Sprintf("kubectl -n %s describe pod %s; \"A pod stays in ContainerCreating\" in docs/how-to/troubleshooting.md explains messages", p.Namespace, p.Name),
		}
	}
	return nil
}

// mounted reports whether a pod's volumes are.
func mounted(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue
	})
}

func containerWaits(v *view) *finding {
	for _, p := range v.starting() {
		if !mounted(p) || !v.isBound() {
			continue
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if s := c.State; s.Waiting == nil && (s.Terminated == nil || s.Terminated.ExitCode == 0) ||
				s.Waiting != nil && (s.Waiting.Reason == "ContainerCreating" || s.Waiting.Reason == "PodInitializing") {
				continue
			}
			return &finding{
				says:     fmt.Sprintf("the volumes of pod %s are mounted, and its container %s waits for something else", p.Name, c.Name),
				evidence: []string{fmt.Sprintf("container %s: %s", c.Name, stateOf(c))},
				next:     fmt.Sprintf("kubectl -n %s describe pod %s", p.Namespace, p.Name),
			}
		}
	}
	return nil
}

// soon is how long each step takes at most if all is well, with room to spare.
const soon = 30 * time.Second

func underWay(v *view) *finding {
	if v.isFine() || len(v.warnings()) > 0 || v.Object == nil || v.isDeleting() {
		return nil
	}
	began := v.Object.CreationTimestamp.Time
	for _, m := range v.Object.ManagedFields { // its request may have been raised
		if m.Time != nil && m.Time.After(began) {
			began = m.Time.Time
		}
	}
	for _, p := range v.pods {
		if p.CreationTimestamp.After(began) {
			began = p.CreationTimestamp.Time
		}
	}
	age := v.Now.Sub(began)
	if age > soon {
		return nil
	}
	f := &finding{
		says:     "it has just begun, and nothing has failed",
		evidence: []string{fmt.Sprintf("claim or pods were made or changed %s ago, and no event warns", age.Round(time.Second))},
		next:     fmt.Sprintf("ask again in half a minute: kubectl hostdir why %s/%s", v.Namespace, v.Name),
		likely:   !v.saw(Events),
	}
	return f
}

// unexplained tells what is left: the newest events, and what was excluded.
func unexplained(v *view) *finding {
	if v.isFine() {
		return nil
	}
	f := &finding{says: "it waits, and for none of the causes that hostdir knows", next: v.describe("pvc", v.Name), likely: true}
	if v.Object != nil {
		f.evidence = append(f.evidence, fmt.Sprintf("the claim is %s", cmp.Or(string(v.Object.Status.Phase), "new")))
	}
	if pod, text := v.unscheduled(); pod != nil {
		f.evidence = append(f.evidence, fmt.Sprintf("the scheduler, of pod %s: %s", pod.Name, oneLine(text)))
		f.next = fmt.Sprintf("kubectl -n %s describe pod %s", pod.Namespace, pod.Name)
	}
	told := 0
	for i := range v.Events {
		if e := &v.Events[i]; v.concerns(e) && told < 3 {
			f.evidence = append(f.evidence, saysOf(e))
			told++
		}
	}
	if told == 0 {
		f.evidence = append(f.evidence, "no event is about it")
	}
	excluded := "its class and what it asks for"
	if v.saw(Pods) {
		excluded += ", its pods"
	}
	if v.saw(Nodes, CSINodes) {
		excluded += ", its nodes"
	}
	if v.saw(NodePlugins, PluginPods) && len(v.Answers) > 0 {
		excluded += ", the disks and their room"
	}
	f.evidence = append(f.evidence, "excluded: "+excluded)
	return f
}

func reservedForNext(v *view) *finding {
	if v.Object != nil || len(v.Reserved) == 0 || len(v.pods) > 0 {
		return nil
	}
	return &finding{
		says:     "the claim is gone, and its volume is kept for the next claim of its name",
		evidence: []string{fmt.Sprintf("PersistentVolume %s is %s", v.Reserved[0].Name, v.Reserved[0].Status.Phase)},
		next:     "make the claim anew to have its data; docs/how-to/reuse.md says how to be rid of it",
	}
}

func retained(v *view) *finding {
	if v.Object != nil || v.Volume == nil || v.isLeft() {
		return nil
	}
	return &finding{
		says: "the claim is gone, and its volume stays, as its policy Retain says",
		evidence: []string{fmt.Sprintf("PersistentVolume %s is %s, its policy is %s", v.Volume.Name, v.Volume.Status.Phase,
			v.Volume.Spec.PersistentVolumeReclaimPolicy)},
		next: fmt.Sprintf("to delete the data as well: kubectl patch pv %s -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Delete\"}}'", v.Volume.Name),
	}
}

func nothingWrong(v *view) *finding {
	f := &finding{says: "nothing is wrong", next: "nothing is to be done", likely: !v.saw(Pods, Claims)}
	if v.Object == nil {
		f.evidence = []string{"nothing waits"}
		return f
	}
	f.evidence = []string{fmt.Sprintf("the claim is %s to %s", v.Object.Status.Phase, v.Object.Spec.VolumeName)}
	if place := v.place(); place != "" {
		f.evidence[0] += " on node " + place
	}
	switch {
	case len(v.pods) > 0:
		f.evidence = append(f.evidence, "pods that use it run: "+podNames(v.pods))
	case v.saw(Pods):
		f.evidence = append(f.evidence, "no pod uses it")
	}
	if v.Class != nil && (v.Class.AllowVolumeExpansion == nil || !*v.Class.AllowVolumeExpansion) {
		f.evidence = append(f.evidence, fmt.Sprintf("StorageClass %s does not allow it to grow", v.Class.Name))
	}
	return f
}
