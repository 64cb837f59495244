package misplaced

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// isMadeAnew reports whether somebody makes a pod again that is evicted, and the scheduler
// places it. A DaemonSet's would come back to the same node, and a Job counts it as failed.
func isMadeAnew(p *corev1.Pod) bool {
	owner := metav1.GetControllerOf(p)
	return owner != nil && owner.APIVersion == "apps/v1" && (owner.Kind == "StatefulSet" || owner.Kind == "ReplicaSet")
}

// hasStarted reports whether any container of a pod runs or ran, or the pod is going.
func hasStarted(p *corev1.Pod) bool {
	ran := func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil || s.RestartCount > 0
	}
	return p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodPending ||
		slices.ContainsFunc(p.Status.InitContainerStatuses, ran) || slices.ContainsFunc(p.Status.ContainerStatuses, ran)
}
