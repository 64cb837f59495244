// Package pod reads what pods say of their volumes.
package pod

import corev1 "k8s.io/api/core/v1"

// Claims returns the names of the claims of a pod, in its namespace.
func Claims(p *corev1.Pod) (names []string) {
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil: // its claim is the pod's own
			names = append(names, p.Name+"-"+v.Name)
		}
	}
	return names
}
