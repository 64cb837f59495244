package why

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// What is wrong with what was asked for, whatever the cluster has.

func notFound(v *view) *finding {
	if v.Pod != nil || v.Object != nil || v.Volume != nil || len(v.Reserved) > 0 || len(v.pods) > 0 {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("there is no %s", v.Subject),
		evidence: []string{fmt.Sprintf("nothing of that name is in namespace %s, and no PersistentVolume was left by it", v.Subject.Namespace)},
		next:     fmt.Sprintf("kubectl -n %s get pvc,pods", v.Subject.Namespace),
		likely:   !v.saw(Claims, Pods, Volumes),
	}
	if v.Subject.Kind == PodKind {
		f.evidence = []string{"namespace " + v.Subject.Namespace + " has no such pod"}
	}
	return f
}

func noClaim(v *view) *finding {
	if v.Name != "" || v.Pod == nil {
		return nil
	}
	return &finding{
		says:     "the pod uses no claim, so hostdir has no part in it",
		evidence: []string{"none of its volumes is a persistentVolumeClaim or an ephemeral volume"},
		next:     fmt.Sprintf("kubectl -n %s describe pod %s", v.Pod.Namespace, v.Pod.Name),
	}
}

func claimMissing(v *view) *finding {
	if v.Object != nil || v.Name == "" || len(v.pods) == 0 {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("there is no claim %s/%s, which is used by %s", v.Namespace, v.Name, podNames(v.pods)),
		evidence: []string{"its pods name it, and it is not there"},
		next:     fmt.Sprintf("kubectl -n %s get pvc; make the claim, or correct the pod's volumes. A StatefulSet makes a claim that was deleted anew when it makes the pod: kubectl -n %s delete pod %s", v.Namespace, v.Namespace, v.pods[0].Name),
		likely:   !v.saw(Claims),
	}
	if _, text := v.unscheduled(); text != "" {
		f.evidence = append(f.evidence, "the scheduler: "+oneLine(text))
	}
	return f
}

func noClass(v *view) *finding {
	if !v.isPending() || v.className() != "" {
		return nil
	}
	return &finding{
		says:     "the claim names no StorageClass, and none was filled in, since no class is the default",
		evidence: []string{"spec.storageClassName of the claim is empty"},
		next:     "write storageClassName: hostdir in the claim and make it anew; kubectl get storageclass lists the classes",
	}
}

func classMissing(v *view) *finding {
	if !v.isPending() || v.Class != nil {
		return nil
	}
	e := v.refusal()
	told := e != nil && strings.Contains(e.Message, "storageclass") && strings.Contains(e.Message, "not found")
	if !told && !v.saw(Classes) {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("there is no StorageClass %q", v.className()),
		evidence: []string{fmt.Sprintf("the claim names the class %q", v.className())},
		next:     "kubectl get storageclass; a claim's class cannot be changed: make the class, or the claim anew with another one",
	}
	if told {
		f.evidence = append(f.evidence, saysOf(e))
	}
	return f
}

func notHostdir(v *view) *finding {
	whose := ""
	switch {
	case v.Volume != nil && !pv.Is(v.Volume, v.Driver):
		whose = "a PersistentVolume that is not hostdir's, " + v.Volume.Name
	case v.Volume == nil && v.Object != nil && v.Class != nil && v.Class.Provisioner != v.Driver:
		whose = fmt.Sprintf("the class %s, whose provisioner is %s", v.Class.Name, v.Class.Provisioner)
	default:
		return nil
	}
	return &finding{
		says:     fmt.Sprintf("claim %s/%s is not hostdir's", v.Namespace, v.Name),
		evidence: []string{"it has " + whose},
		next:     v.describe("pvc", v.Name),
	}
}

func accessMode(v *view) *finding {
	if !v.isPending() {
		return nil
	}
	for _, mode := range v.Object.Spec.AccessModes {
		if mode == corev1.ReadWriteMany || mode == corev1.ReadOnlyMany {
			return &finding{
				says:     fmt.Sprintf("the claim asks for %s, and a hostdir volume lives on one node", mode),
				evidence: []string{fmt.Sprintf("spec.accessModes of the claim has %s", mode)},
				next:     fmt.Sprintf("make the claim anew with ReadWriteOnce, which pods of one node can share, or ReadWriteOncePod: kubectl -n %s delete pvc %s", v.Namespace, v.Name),
			}
		}
	}
	return nil
}

func blockMode(v *view) *finding {
	if !v.isPending() || v.Object.Spec.VolumeMode == nil || *v.Object.Spec.VolumeMode != corev1.PersistentVolumeBlock {
		return nil
	}
	return &finding{
		says:     "the claim asks for a block device, and hostdir has only directories",
		evidence: []string{"spec.volumeMode of the claim is Block"},
		next:     fmt.Sprintf("make the claim anew with volumeMode: Filesystem: kubectl -n %s delete pvc %s", v.Namespace, v.Name),
	}
}

func invalidParameter(v *view) *finding {
	if !v.isPending() {
		return nil
	}
	f := &finding{
		says: fmt.Sprintf("StorageClass %s has a parameter that hostdir refuses", v.className()),
		next: fmt.Sprintf("kubectl get storageclass %s -o yaml; a class's parameters cannot be changed: make a class with others, and the claim anew", v.className()),
	}
	if v.Class != nil {
		if _, err := config.ParseClass(classParameters(v.Class)); err != nil {
			f.evidence = []string{err.Error()}
			return f
		}
	}
	if e := v.refusal(); e != nil && strings.Contains(e.Message, invalidWords) && strings.Contains(e.Message, "StorageClass parameter") {
		f.evidence = []string{saysOf(e)}
		return f
	}
	return nil
}

func invalidRequest(v *view) *finding {
	if !v.isPending() {
		return nil
	}
	f := &finding{
		says: "the claim asks for something that hostdir does not have",
		next: fmt.Sprintf("make the claim anew without that: kubectl -n %s delete pvc %s", v.Namespace, v.Name),
	}
	spec := v.Object.Spec
	switch e := v.refusal(); {
	case e != nil && strings.Contains(e.Message, invalidWords):
		f.evidence = []string{saysOf(e)}
	case v.beginsAsOther() != "":
		f.evidence = []string{fmt.Sprintf("spec.dataSourceRef of the claim is a %s: hostdir copies VolumeSnapshots and claims; for others it takes a volume populator", v.beginsAsOther())}
	case spec.VolumeAttributesClassName != nil && *spec.VolumeAttributesClassName != "":
		f.evidence = []string{"spec.volumeAttributesClassName of the claim is set: hostdir has no mutable parameters"}
	default:
		return nil
	}
	return f
}

// beginsAsOther is the kind of what the claim begins as, if hostdir has no part in that.
func (v *view) beginsAsOther() string {
	kind, _, _ := BeginsAs(v.Object)
	if kind == snapshotKind || kind == claimKind {
		return ""
	}
	return kind
}

// importing goes by the mark of `kubectl hostdir import` on the claim or its volume.
func importing(v *view) *finding {
	var found []string
	annotated := func(what string, annotations map[string]string) {
		if value, ok := annotations[importMark]; ok {
			found = append(found, fmt.Sprintf("%s has the annotation %s=%s", what, importMark, oneLine(value)))
		}
	}
	if v.Object != nil {
		annotated("the claim", v.Object.Annotations)
	}
	if v.Volume != nil {
		annotated("PersistentVolume "+v.Volume.Name, v.Volume.Annotations)
	}
	if len(found) == 0 || v.isFine() {
		return nil
	}
	return &finding{
		says:     "the volume is being imported, and is not hostdir's until that is done",
		evidence: found,
		next:     "let `kubectl hostdir import` go on: the same command continues where it was",
	}
}

func volumeLost(v *view) *finding {
	if v.Object == nil || v.isDeleting() {
		return nil
	}
	gone := v.Object.Spec.VolumeName != "" && v.Volume == nil && v.saw(Volumes) && v.isBound()
	if v.Object.Status.Phase != corev1.ClaimLost && !gone {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("the claim was bound to PersistentVolume %s, which is gone", v.Object.Spec.VolumeName),
		evidence: []string{fmt.Sprintf("the claim is %s, spec.volumeName is %s", v.Object.Status.Phase, v.Object.Spec.VolumeName)},
		next: "its data may be on a node still: `hostdir volumes pv` there prints a PersistentVolume that adopts it. " +
			v.inPlugin(v.place(), "volumes pv "+v.Namespace+"/"+v.Name),
	}
	if e := v.newest(ClaimKind, v.Name, "ClaimLost"); e != nil {
		f.evidence = append(f.evidence, saysOf(e))
	}
	return f
}
