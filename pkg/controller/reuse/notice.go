package reuse

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/controller/notice"
)

func keptForNobody(v *corev1.PersistentVolume, namespace string) notice.Notice {
	return notice.Notice{About: v, Kind: corev1.EventTypeNormal, Reason: "ReuseEnded", Action: "Release",
		Text: fmt.Sprintf("namespace %s was deleted: the volume keeps its data and is reserved for nobody, also not for a new namespace of that name. To give it to a claim, or to delete it, see docs/how-to/reuse.md", namespace)}
}

func unguarded(v *corev1.PersistentVolume) notice.Notice {
	return notice.Notice{About: v, Kind: corev1.EventTypeWarning, Reason: "ReuseUnguarded", Action: "Release",
		Text: fmt.Sprintf("the volume keeps its data, but is not reserved for its claim: without the ValidatingAdmissionPolicy %s and its binding, others could get it. Install them with hostdir's chart", PolicyName)}
}

func unknownNamespace(v *corev1.PersistentVolume) notice.Notice {
	return notice.Notice{About: v, Kind: corev1.EventTypeNormal, Reason: "ReuseUnknown", Action: "Release",
		Text: fmt.Sprintf("the volume keeps its data, but is not reserved: nothing proves that its claim was in the namespace %s of today. To give it to a claim, see docs/how-to/reuse.md", v.Spec.ClaimRef.Namespace)}
}

func superseded(old, by *corev1.PersistentVolume) notice.Notice {
	return notice.Notice{About: old, Kind: corev1.EventTypeNormal, Reason: "ReuseSuperseded", Action: "Release",
		Text: fmt.Sprintf("the volume keeps its data, but is not reserved: claim %s has %s. To exchange them, see docs/how-to/reuse.md", claimOf(old), by.Name)}
}

func refusedClaim(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) notice.Notice {
	return notice.Notice{About: c, Kind: corev1.EventTypeWarning, Reason: "ReuseRefused", Action: "Bind",
		Text: fmt.Sprintf("volume %s was reserved for this claim in a namespace of the same name that was deleted; this one gets a new volume", v.Name)}
}

func mismatched(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume, reasons []string) notice.Notice {
	do := "delete the claim and make it again to match; a request can be raised once the claim is bound"
	if c.Spec.VolumeName != "" {
		do = fmt.Sprintf("kubectl -n %s annotate pvc %s %s=%s, delete the claim and make it again to match, or its volume %s stays reserved in place of this one; a request can be raised once the claim is bound", c.Namespace, c.Name, keepAnnotation, v.Name, c.Spec.VolumeName)
	}
	return notice.Notice{About: c, Kind: corev1.EventTypeWarning, Reason: "ReuseMismatch", Action: "Bind",
		Text: fmt.Sprintf("volume %s has the data of the former claim %s, and this claim does not get it: %s. To get it: %s", v.Name, c.Name, strings.Join(reasons, "; "), do)}
}
