package nodeloss

import (
	"context"
	"errors"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// driverLabel is csi-provisioner's, on the capacity objects that it makes.
const driverLabel = "csi.storage.k8s.io/drivername"

// capacityEvery is how often capacity objects are looked at: there is one for each
// class and node, and nobody is harmed by one that stays.
const capacityEvery = 5 * time.Minute

// page is how many of them are read at a time.
const page = 500

// cleanCapacity deletes the capacity objects of nodes that are gone: their provisioners
// do not, and the DaemonSet that owns them stays.
func (l *nodeloss) cleanCapacity(ctx context.Context, w *world) error {
	if w.now.Before(l.capacityDue) {
		return nil
	}
	l.capacityDue = w.now.Add(min(capacityEvery, l.options.Grace))
	var failed []error
	var all storagev1.CSIStorageCapacityList
	for {
		err := l.live.List(ctx, &all, client.InNamespace(l.namespace), client.MatchingLabels{driverLabel: l.driver}, client.Limit(page), client.Continue(all.Continue))
		if apierrors.IsForbidden(err) { // with the chart's storageCapacity: false
			return nil
		}
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for i := range all.Items {
			if err := l.cleanOne(ctx, w, &all.Items[i]); !apierrors.IsConflict(err) {
				failed = append(failed, client.IgnoreNotFound(err))
			}
		}
		if all.Continue == "" {
			return errors.Join(failed...)
		}
	}
}

func (l *nodeloss) cleanOne(ctx context.Context, w *world, c *storagev1.CSIStorageCapacity) error {
	if c.NodeTopology == nil || c.DeletionTimestamp != nil {
		return nil
	}
	node := c.NodeTopology.MatchLabels[l.driver+"/node"]
	text, marked := c.Annotations[NodeLostSince]
	since, ok := moment(text, w.now)
	switch {
	case node == "":
		return nil
	case w.nodes[node] && !marked:
		return nil
	case w.nodes[node]:
		return l.patch(ctx, c, annotated(c, map[string]any{NodeLostSince: nil}, nil))
	case !ok:
		return l.patch(ctx, c, annotated(c, map[string]any{NodeLostSince: written(w.now)}, nil))
	case since.Add(l.options.Grace).After(w.now):
		return nil
	}
	if present, err := l.isPresent(ctx, node); err != nil || present {
		return err
	}
	logger(ctx).V(2).Info("capacity object of a lost node is deleted", "node", node, "object", c.Name)
	return l.cached.Delete(ctx, c, precisely(c))
}
