package restore

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// labeller gives VolumeSnapshotContents to the node that has, or can make, the snapshot: a
// csi-snapshotter with --node-deployment looks after those alone that have its node's
// label. snapshot-controller sets it only with --enable-distributed-snapshotting, and never
// on contents that somebody else has made, as backup tools do when they restore.
type labeller struct {
	*loop
	writer client.Writer
}

// labelEvery is how often contents without the label are asked for. Almost always there
// are none.
const labelEvery = 5 * time.Second

// Start is a manager.Runnable of the leader.
func (l *labeller) Start(ctx context.Context) error {
	log := klog.FromContext(ctx)
	told := ""
	for tick := time.Tick(labelEvery); ; {
		if err := l.label(ctx); err != nil && ctx.Err() == nil && told != err.Error() {
			told = err.Error()
			log.Error(err, "VolumeSnapshotContents not given to their nodes, trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// label labels all contents whose node is known.
func (l *labeller) label(ctx context.Context) error {
	none, err := labels.NewRequirement(managedBy, selection.DoesNotExist, nil)
	if err != nil {
		return err
	}
	all := &unstructured.UnstructuredList{}
	all.SetAPIVersion(snapshotGroup + "/v1")
	all.SetKind("VolumeSnapshotContentList")
	for {
		err := l.live.List(ctx, all, client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*none)}, client.Limit(labelPage), client.Continue(all.GetContinue()))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			return nil // the cluster has no snapshots, or the chart leaves them alone
		}
		if err != nil {
			return err
		}
		for i := range all.Items {
			if err := l.labelOne(ctx, &all.Items[i]); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				return err
			}
		}
		if all.GetContinue() == "" {
			return nil
		}
	}
}

// labelPage is how many contents are read at a time.
const labelPage = 100

func (l *labeller) labelOne(ctx context.Context, content *unstructured.Unstructured) error {
	if driver, _, _ := unstructured.NestedString(content.Object, "spec", "driver"); driver != l.driver {
		return nil
	}
	var o origin
	if err := l.findContent(ctx, content, &o); err != nil || o.node == nil {
		return err
	}
	patch := client.MergeFromWithOptions(content.DeepCopy(), client.MergeFromWithOptimisticLock{})
	set := content.GetLabels()
	if set == nil {
		set = map[string]string{}
	}
	set[managedBy] = o.node.Name
	content.SetLabels(set)
	if err := l.writer.Patch(ctx, content, patch); err != nil {
		return err
	}
	steps.WithLabelValues("label").Inc()
	klog.FromContext(ctx).Info("snapshot given to its node", "content", content.GetName(), "node", o.node.Name)
	return nil
}
