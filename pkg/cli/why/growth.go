package why

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Why a claim does not grow.

func resizeForbidden(v *view) *finding {
	if !v.isGrowing() || v.Class == nil || v.Class.AllowVolumeExpansion != nil && *v.Class.AllowVolumeExpansion || v.resizerActed() {
		return nil
	}
	return &finding{
		says:     fmt.Sprintf("StorageClass %s does not allow its volumes to grow", v.Class.Name),
		evidence: []string{v.growth(), fmt.Sprintf("allowVolumeExpansion of StorageClass %s is not true", v.Class.Name)},
		next:     fmt.Sprintf("kubectl patch storageclass %s -p '{\"allowVolumeExpansion\":true}'", v.Class.Name),
	}
}

func resizeBeyondRoom(v *view) *finding {
	if !v.isGrowing() {
		return nil
	}
	said := ""
	for _, c := range v.Object.Status.Conditions {
		if c.Type == corev1.PersistentVolumeClaimNodeResizeError && spokenOf(c.Message) == ResizeBeyondRoom {
			said = fmt.Sprintf("condition %s of the claim: %s", c.Type, oneLine(c.Message))
		}
	}
	for _, e := range v.warnings() {
		if said == "" && spokenOf(e.Message) == ResizeBeyondRoom && strings.Contains(e.Message, "cannot grow to "+config.FormatSize(v.asked())) {
			said = saysOf(e)
		}
	}
	if said == "" {
		return nil
	}
	f := &finding{
		says:     fmt.Sprintf("the disk cannot give the claim %s", config.FormatSize(v.asked())),
		evidence: []string{v.growth(), said},
		next: fmt.Sprintf("make room on the disk, or ask for less, but for more than %s: kubectl -n %s patch pvc %s -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"SIZE\"}}}}'",
			config.FormatSize(v.has()), v.Namespace, v.Name),
	}
	if a := v.answer(v.place()); a != nil {
		if at := v.diskOf(a, pv.Disk(v.Volume)); at.cause == "" {
			for _, d := range a.Disks.Disks {
				if d.Path == at.at {
					f.evidence = append(f.evidence, fmt.Sprintf("disk %s of node %s has room for %s, the claim needs %s more", d.Path, a.Node, config.FormatSize(d.AvailableBytes), config.FormatSize(v.asked()-v.has())))
				}
			}
		}
	}
	return f
}

func resizerDown(v *view) *finding {
	if !v.isGrowing() || v.resizerActed() || !v.saw(PluginPods) {
		return nil
	}
	f := &finding{
		says:     "csi-resizer, which runs beside hostdir-controller, does not act",
		evidence: []string{v.growth(), "neither the PersistentVolume's size nor the claim's conditions have changed since"},
		next:     fmt.Sprintf("kubectl -n %s get deployment,pods -l app.kubernetes.io/component=controller", v.System),
	}
	for i := range v.Controllers {
		p := &v.Controllers[i]
		if isReady(p) && p.DeletionTimestamp == nil {
			return nil
		}
		f.evidence = append(f.evidence, fmt.Sprintf("pod %s/%s of hostdir-controller is not ready", p.Namespace, p.Name))
	}
	if len(v.Controllers) == 0 {
		f.evidence = append(f.evidence, fmt.Sprintf("namespace %s has no pod of hostdir-controller", v.System))
	}
	return f
}

func resizeNeedsPod(v *view) *finding {
	if !v.isGrowing() || len(v.pods) > 0 || !v.resizerActed() {
		return nil
	}
	f := &finding{
		says:     "volumes grow on their node when a pod uses them, and no pod uses the claim",
		evidence: []string{v.growth()},
		next:     "start a pod that uses the claim: it grows before the pod starts",
		likely:   !v.saw(Pods),
	}
	for _, c := range v.Object.Status.Conditions {
		if c.Type == corev1.PersistentVolumeClaimFileSystemResizePending {
			f.evidence = append(f.evidence, fmt.Sprintf("condition %s of the claim: %s", c.Type, oneLine(c.Message)))
		}
	}
	return f
}

// resizerActed reports whether csi-resizer has done its part.
func (v *view) resizerActed() bool {
	for _, c := range v.Object.Status.Conditions {
		if c.Type == corev1.PersistentVolumeClaimFileSystemResizePending || c.Type == corev1.PersistentVolumeClaimNodeResizeError {
			return true
		}
	}
	switch v.Object.Status.AllocatedResourceStatuses[corev1.ResourceStorage] {
	case corev1.PersistentVolumeClaimNodeResizePending, corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible:
		return true
	}
	if v.Volume == nil {
		return false
	}
	size := v.Volume.Spec.Capacity[corev1.ResourceStorage]
	return size.Value() >= v.asked()
}

func (v *view) growth() string {
	return fmt.Sprintf("the claim has %s and asks for %s", config.FormatSize(v.has()), config.FormatSize(v.asked()))
}
