package restore

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

const (
	snapshotGroup = "snapshot.storage.k8s.io"
	// managedBy is snapshot-controller's label on contents: the node whose
	// csi-snapshotter made the snapshot.
	managedBy = "snapshot.storage.kubernetes.io/managed-by"
)

// origin is what a claim is to begin as a copy of, as far as that is known.
type origin struct {
	// what names it, in messages.
	what string
	// node is the Node that has the data, "" if that is not known.
	node *metav1.PartialObjectMetadata
	// nodeName is how the source names the node, which may be gone.
	nodeName string
	// waits is why no volume can be made of it yet, "" if one can.
	waits string
	// never is why hostdir makes no volume of it.
	never string
}

// sourceOf returns the kind and the name of what a claim is to begin as a copy of, if
// that is a kind which csi-provisioner gives to drivers.
func sourceOf(c *corev1.PersistentVolumeClaim) (kind, name string) {
	source := c.Spec.DataSource
	if ref := c.Spec.DataSourceRef; source == nil && ref != nil && (ref.Namespace == nil || *ref.Namespace == "") {
		source = &corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	}
	if source == nil {
		return "", ""
	}
	group := ""
	if source.APIGroup != nil {
		group = *source.APIGroup
	}
	switch {
	case group == snapshotGroup && source.Kind == "VolumeSnapshot", group == "" && source.Kind == "PersistentVolumeClaim":
		return source.Kind, source.Name
	}
	return "", ""
}

// find finds out what there is to know of a claim's source. It is asked for anew each
// time: nothing of snapshots is kept, and their kinds need not exist.
func (l *loop) find(ctx context.Context, c *corev1.PersistentVolumeClaim) (origin, error) {
	kind, name := sourceOf(c)
	o := origin{what: kind + " " + name}
	if kind == "PersistentVolumeClaim" {
		o.what = "claim " + name
		return o, l.findClaim(ctx, c.Namespace, name, &o)
	}
	return o, l.findSnapshot(ctx, c.Namespace, name, &o)
}

func (l *loop) findClaim(ctx context.Context, namespace, name string, o *origin) error {
	source := &corev1.PersistentVolumeClaim{}
	err := l.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, source)
	switch {
	case apierrors.IsNotFound(err):
		o.waits = "there is no such claim"
		return nil
	case err != nil:
		return err
	case source.DeletionTimestamp != nil:
		o.waits = "it is being deleted"
		return nil
	case source.Spec.VolumeName == "" || source.Status.Phase != corev1.ClaimBound:
		o.waits = "it is not bound"
		return nil
	}
	v := &corev1.PersistentVolume{}
	err = l.live.Get(ctx, client.ObjectKey{Name: source.Spec.VolumeName}, v)
	switch {
	case apierrors.IsNotFound(err):
		o.waits = "its volume " + source.Spec.VolumeName + " is gone"
		return nil
	case err != nil:
		return err
	case !pv.Is(v, l.driver):
		o.never = "its volume " + v.Name + " is none of hostdir's"
		return nil
	}
	return l.findNode(ctx, pv.Node(v, l.driver), o)
}

func (l *loop) findSnapshot(ctx context.Context, namespace, name string, o *origin) error {
	snapshot, err := l.get(ctx, "VolumeSnapshot", namespace, name)
	switch {
	case meta.IsNoMatchError(err):
		o.waits = "the cluster has no VolumeSnapshots: their CRDs are not installed"
		return nil
	case apierrors.IsNotFound(err):
		o.waits = "there is no such VolumeSnapshot"
		return nil
	case err != nil:
		return err
	}
	contentName, _, _ := unstructured.NestedString(snapshot.Object, "status", "boundVolumeSnapshotContentName")
	if contentName == "" {
		o.waits = "it has no VolumeSnapshotContent yet" + failure(snapshot)
		return nil
	}
	content, err := l.get(ctx, "VolumeSnapshotContent", "", contentName)
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		o.waits = "its VolumeSnapshotContent " + contentName + " is gone"
		return nil
	case err != nil:
		return err
	}
	if driver, _, _ := unstructured.NestedString(content.Object, "spec", "driver"); driver != l.driver {
		o.never = fmt.Sprintf("it is a snapshot of the driver %s", driver)
		return nil
	}
	if ready, _, _ := unstructured.NestedBool(snapshot.Object, "status", "readyToUse"); !ready {
		o.waits = "it is not ready" + failure(snapshot)
	} else if snapshot.GetDeletionTimestamp() != nil {
		o.waits = "it is being deleted"
	}
	return l.findContent(ctx, content, o)
}

// findContent finds the node that has a snapshot: the one whose csi-snapshotter looks
// after it or, if that is not said or is gone, the one that has its disk.
func (l *loop) findContent(ctx context.Context, content *unstructured.Unstructured, o *origin) error {
	if node := content.GetLabels()[managedBy]; node != "" {
		if err := l.findNode(ctx, node, o); err != nil || o.node != nil {
			return err
		}
	}
	for _, field := range [][]string{{"status", "snapshotHandle"}, {"spec", "source", "snapshotHandle"}, {"spec", "source", "volumeHandle"}} {
		handle, _, _ := unstructured.NestedString(content.Object, field...)
		// Handles of volumes and of snapshots begin with the UUID of their disk.
		disk, _, ok := strings.Cut(handle, ".")
		if !ok {
			continue
		}
		if err := l.findDisk(ctx, disk, o); err != nil || o.node != nil {
			return err
		}
	}
	if o.nodeName == "" {
		o.what += fmt.Sprintf(" (VolumeSnapshotContent %s)", content.GetName())
	}
	return nil
}

// findDisk finds the node of a disk by the volumes that are on it. Those of a disk that
// was moved may name more than one: then the one that there is.
func (l *loop) findDisk(ctx context.Context, disk string, o *origin) error {
	var all corev1.PersistentVolumeList
	if err := l.cached.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range all.Items {
		v := &all.Items[i]
		if !pv.Is(v, l.driver) || pv.GivenUp(v) || pv.Disk(v) != disk {
			continue
		}
		if err := l.findNode(ctx, pv.Node(v, l.driver), o); err != nil || o.node != nil {
			return err
		}
	}
	return nil
}

// findNode finds a node by its name, or by the label that volumes are bound to.
func (l *loop) findNode(ctx context.Context, name string, o *origin) error {
	if name == "" {
		return nil
	}
	if o.nodeName == "" {
		o.nodeName = name
	}
	labelled := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	if err := l.cached.List(ctx, labelled, client.MatchingLabels{l.driver + "/node": name}); err != nil {
		return err
	}
	if len(labelled.Items) > 0 {
		o.node = &labelled.Items[0]
		return nil
	}
	named := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
	err := l.cached.Get(ctx, client.ObjectKey{Name: name}, named)
	if err == nil {
		o.node = named
	}
	return client.IgnoreNotFound(err)
}

func (l *loop) get(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(snapshotGroup + "/v1")
	u.SetKind(kind)
	return u, l.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, u)
}

// failure returns what a snapshot says went wrong last, to be put behind other words.
func failure(snapshot *unstructured.Unstructured) string {
	text, _, _ := unstructured.NestedString(snapshot.Object, "status", "error", "message")
	if text == "" {
		return ""
	}
	return ": " + text
}
