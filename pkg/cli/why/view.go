package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

const (
	selectedNode = "volume.kubernetes.io/selected-node"
	// importMark is the annotation of a claim, or a volume, while it is imported.
	importMark = "csi.hostdir.io/importing"
	// pvcProtection keeps a claim as long as pods use it.
	pvcProtection = "kubernetes.io/pvc-protection"
	// reuseFinalizer keeps it until its volume is reserved.
	reuseFinalizer = "csi.hostdir.io/reuse"
	// reservedLabel is on volumes that hostdir-controller keeps for a claim.
	reservedLabel = "csi.hostdir.io/reuse"
)

// view is the world as one claim sees it.
type view struct {
	*World
	Claim
	// pods use the claim, and have not ended.
	pods []*corev1.Pod

	hindranceOf *hindrance // see hinders
}

// views returns one for each claim that is asked about, and always at least one.
// Claims of other drivers count only if the pod has no others.
func (w *World) views() []*view {
	var all, foreign []*view
	for _, c := range w.Claims {
		v := &view{World: w, Claim: c}
		for i := range w.Pods {
			if p := &w.Pods[i]; !hasEnded(p) && slices.Contains(pod.Claims(p), c.Name) && (w.Pod == nil || p.Name == w.Pod.Name) {
				v.pods = append(v.pods, p)
			}
		}
		if notHostdir(v) != nil {
			foreign = append(foreign, v)
		} else {
			all = append(all, v)
		}
	}
	if w.Pod == nil && len(all) == 1 && all[0].isBound() && !all[0].isFine() {
		// Its pods may wait for another claim of theirs.
		for _, c := range w.Others {
			if v := (&view{World: w, Claim: c, pods: all[0].pods}); notHostdir(v) == nil {
				all = append(all, v)
			}
		}
	}
	switch {
	case len(all) > 0:
		return all
	case len(foreign) > 0:
		return foreign
	}
	return []*view{{World: w}}
}

func (v *view) isDeleting() bool { return v.Object != nil && v.Object.DeletionTimestamp != nil }

// isPending reports whether the claim waits for its volume.
func (v *view) isPending() bool {
	return v.Object != nil && !v.isDeleting() && v.Object.Status.Phase != corev1.ClaimLost &&
		(v.Object.Spec.VolumeName == "" || v.Object.Status.Phase == corev1.ClaimPending)
}

func (v *view) isBound() bool {
	return v.Object != nil && v.Object.Spec.VolumeName != "" && !v.isPending() && v.Object.Status.Phase != corev1.ClaimLost
}

// isLeft reports whether the claim is gone and its volume is not, which is to be
// deleted.
func (v *view) isLeft() bool {
	return v.Object == nil && v.Volume != nil && (v.Volume.DeletionTimestamp != nil || v.Volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete)
}

// waits reports whether the claim is bound for its first pod.
func (v *view) waits() bool {
	if v.Class == nil {
		return true // as of all classes that the chart makes
	}
	return v.Class.VolumeBindingMode != nil && *v.Class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

func (v *view) className() string {
	if v.Object == nil || v.Object.Spec.StorageClassName == nil {
		return ""
	}
	return *v.Object.Spec.StorageClassName
}

// class returns what the class's parameters say; an invalid one is another cause.
func (v *view) class() config.Class {
	c := config.Class{Pool: config.DefaultPool, Quota: config.QuotaAuto}
	if v.Class != nil {
		if parsed, err := config.ParseClass(classParameters(v.Class)); err == nil {
			c = parsed
		}
	}
	return c
}

// classParameters are those that hostdir reads, without Kubernetes' own.
func classParameters(c *storagev1.StorageClass) map[string]string {
	parameters := map[string]string{}
	for key, value := range c.Parameters {
		if !strings.HasPrefix(key, "csi.storage.k8s.io/") {
			parameters[key] = value
		}
	}
	return parameters
}

// asked is what the claim asks for, in bytes.
func (v *view) asked() int64 {
	if v.Object == nil {
		return 0
	}
	q := v.Object.Spec.Resources.Requests[corev1.ResourceStorage]
	return q.Value()
}

// has is what the claim has, in bytes.
func (v *view) has() int64 {
	if v.Object == nil {
		return 0
	}
	q := v.Object.Status.Capacity[corev1.ResourceStorage]
	return q.Value()
}

func (v *view) isGrowing() bool {
	return v.isBound() && !v.isDeleting() && v.has() > 0 && v.asked() > v.has()
}

// place is the node that the claim's volume is on, or is to be made on; "" if that is
// not decided, or not known.
func (v *view) place() string {
	switch {
	case v.Volume != nil && pv.Is(v.Volume, v.Driver):
		return pv.Node(v.Volume, v.Driver)
	case v.Object != nil && v.isPending():
		return v.Object.Annotations[selectedNode]
	}
	return ""
}

// unscheduled returns a pod that has no node, and what the scheduler says of it.
func (v *view) unscheduled() (*corev1.Pod, string) {
	for _, p := range v.pods {
		if p.Spec.NodeName != "" {
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return p, c.Message
			}
		}
		if e := v.newest(PodKind, p.Name, "FailedScheduling"); e != nil {
			return p, e.Message
		}
	}
	return nil, ""
}

// starting returns the pods that have a node and whose containers have not started.
func (v *view) starting() (pods []*corev1.Pod) {
	for _, p := range v.pods {
		if p.Spec.NodeName != "" && p.Status.Phase != corev1.PodRunning && p.DeletionTimestamp == nil {
			pods = append(pods, p)
		}
	}
	return pods
}

// isFine reports whether claim and pods are as they should be.
func (v *view) isFine() bool {
	if v.Object == nil {
		return v.Volume == nil && len(v.pods) == 0 || v.Volume != nil && !v.isLeft()
	}
	if !v.isBound() || v.isDeleting() || v.isGrowing() {
		return false
	}
	pod, _ := v.unscheduled()
	return pod == nil && len(v.starting()) == 0 && !slices.ContainsFunc(v.pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == "" })
}

// newest returns the newest event of one of these reasons, or of any, about an object.
func (v *view) newest(kind, name string, reasons ...string) *corev1.Event {
	kinds := map[string]string{ClaimKind: "PersistentVolumeClaim", PodKind: "Pod", "pv": "PersistentVolume"}
	for i := range v.Events {
		e := &v.Events[i]
		if e.InvolvedObject.Kind == kinds[kind] && e.InvolvedObject.Name == name && (len(reasons) == 0 || slices.Contains(reasons, e.Reason)) {
			return e
		}
	}
	return nil
}

// warnings are about the claim, its volume and its pods, the newest first.
func (v *view) warnings() (found []*corev1.Event) {
	for i := range v.Events {
		e := &v.Events[i]
		if e.Type == corev1.EventTypeWarning && v.concerns(e) {
			found = append(found, e)
		}
	}
	return found
}

func (v *view) concerns(e *corev1.Event) bool {
	switch e.InvolvedObject.Kind {
	case "PersistentVolumeClaim":
		return e.InvolvedObject.Name == v.Name
	case "PersistentVolume":
		return v.Volume != nil && e.InvolvedObject.Name == v.Volume.Name
	case "Pod":
		return slices.ContainsFunc(v.pods, func(p *corev1.Pod) bool { return p.Name == e.InvolvedObject.Name })
	}
	return false
}

// refusal returns the last answer of hostdir to the claim's provisioning, "" if it has
// given none.
func (v *view) refusal() *corev1.Event { return v.newest(ClaimKind, v.Name, "ProvisioningFailed") }

// saysOf quotes an event.
func saysOf(e *corev1.Event) string {
	return fmt.Sprintf("event %s of %s %s: %s", e.Reason, strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, oneLine(e.Message))
}

// LastSeen is when an event came the last time.
func LastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// podNames lists pods for people.
func podNames(pods []*corev1.Pod) string {
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// inPlugin is the command that runs one of hostdir's on a node.
func (w *World) inPlugin(node, command string) string {
	pod := "POD"
	if p := w.plugin(node); p != nil {
		pod = p.Name
	}
	return fmt.Sprintf("kubectl -n %s exec -it %s -c hostdir -- /hostdir %s", w.System, pod, command)
}

// describe is the command that shows an object and its events.
func (v *view) describe(kind, name string) string {
	if kind == "pv" {
		return "kubectl describe pv " + name
	}
	return fmt.Sprintf("kubectl -n %s describe %s %s", v.Namespace, kind, name)
}
