package cli

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// checkNoPod fails if a pod uses the claim, or waits for it.
func (s *session) checkNoPod(ctx context.Context, claim types.NamespacedName) error {
	pods, err := s.clients.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		if why.Uses(&p, claim.Name) {
			return wrong("pod %s/%s uses claim %s: scale its StatefulSet or Deployment to 0 first, or end it", p.Namespace, p.Name, claim)
		}
	}
	return nil
}

func nameOf(c *corev1.PersistentVolumeClaim) types.NamespacedName {
	return types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
}
