package restore

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// provisioningFailed is the reason of csi-provisioner's event.
	provisioningFailed = "ProvisioningFailed"
	// driverLabel is csi-provisioner's, on the capacity objects that it makes.
	driverLabel = "csi.storage.k8s.io/drivername"
	// page is how many of them are read at a time.
	page = 500
)

// askWhy finds out why a node refused a claim.
func (l *loop) askWhy(ctx context.Context, c *corev1.PersistentVolumeClaim, node *metav1.PartialObjectMetadata) (*refusal, error) {
	var events corev1.EventList
	err := l.live.List(ctx, &events, client.InNamespace(c.Namespace), client.MatchingFields{"involvedObject.uid": string(c.UID), "reason": provisioningFailed})
	if err != nil {
		return nil, err
	}
	r := &refusal{}
	if len(events.Items) > 0 {
		last := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
		r.said = last.Message
	}
	r.free, err = l.freeOn(ctx, node, *c.Spec.StorageClassName)
	return r, err
}

// freeOn returns the largest volume that a node has room for, nil if that is not known.
func (l *loop) freeOn(ctx context.Context, node *metav1.PartialObjectMetadata, class string) (*resource.Quantity, error) {
	key := l.driver + "/node"
	var all storagev1.CSIStorageCapacityList
	for {
		err := l.live.List(ctx, &all, client.InNamespace(l.namespace), client.MatchingLabels{driverLabel: l.driver}, client.Limit(page), client.Continue(all.Continue))
		if apierrors.IsForbidden(err) { // with the chart's storageCapacity: false
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, c := range all.Items {
			if c.StorageClassName != class || c.NodeTopology == nil || c.NodeTopology.MatchLabels[key] == "" || c.NodeTopology.MatchLabels[key] != node.Labels[key] {
				continue
			}
			if c.MaximumVolumeSize != nil {
				return c.MaximumVolumeSize, nil
			}
			return c.Capacity, nil
		}
		if all.Continue == "" {
			return nil, nil
		}
	}
}
