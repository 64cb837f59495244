package nodeloss

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// waitingReplica returns the StatefulSet, and the name of its pod, that waits for
// a claim which the StatefulSet would make anew; "" if there is none, or if anybody
// else uses the claim.
func waitingReplica(c *corev1.PersistentVolumeClaim, pods []corev1.Pod) (set types.UID, pod string) {
	for i := range pods {
		p := &pods[i]
		volume, uses := usedAs(p, c)
		if !uses || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		owner := metav1.GetControllerOf(p)
		if pod != "" || owner == nil || owner.Kind != "StatefulSet" || !strings.HasPrefix(owner.APIVersion, "apps/") ||
			// A template's name, a dash and the pod's: others are not made anew.
			c.Name != volume+"-"+p.Name ||
			p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodPending || p.Spec.NodeName != "" {
			return "", ""
		}
		set, pod = owner.UID, p.Name
	}
	return set, pod
}

// usedAs returns the name of the pod's volume that is the claim.
func usedAs(p *corev1.Pod, c *corev1.PersistentVolumeClaim) (string, bool) {
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == c.Name {
			return v.Name, true
		}
		// A generic ephemeral volume's claim is the pod's own.
		if v.Ephemeral != nil && c.Name == p.Name+"-"+v.Name {
			return "", true
		}
	}
	return "", false
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}
