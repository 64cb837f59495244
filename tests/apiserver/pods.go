package apiserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EndPods ends the pods that are being deleted, as kubelet does, until the context ends.
func EndPods(ctx context.Context, c client.Client) {
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		var pods corev1.PodList
		if c.List(ctx, &pods) != nil {
			continue
		}
		for i := range pods.Items {
			if pods.Items[i].DeletionTimestamp != nil {
				c.Delete(ctx, &pods.Items[i], client.GracePeriodSeconds(0))
			}
		}
	}
}
