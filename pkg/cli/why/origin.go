package why

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// What a claim is to begin as a copy of.

const (
	snapshotGroup = "snapshot.storage.k8s.io"
	snapshotKind  = "VolumeSnapshot"
	claimKind     = "PersistentVolumeClaim"
	// managedBy is snapshot-controller's label on contents: the node that has the data.
	managedBy = "snapshot.storage.kubernetes.io/managed-by"
)

var (
	snapshotResource = schema.GroupVersionResource{Group: snapshotGroup, Version: "v1", Resource: "volumesnapshots"}
	contentResource  = schema.GroupVersionResource{Group: snapshotGroup, Version: "v1", Resource: "volumesnapshotcontents"}
)

// Origin is what a claim without a volume is to begin as a copy of.
type Origin struct {
	// Kind is VolumeSnapshot or PersistentVolumeClaim.
	Kind, Namespace, Name string
	// NoKind says that the cluster has no VolumeSnapshots.
	NoKind bool
	// Snapshot and Content, or Claim and Volume, are what there is of it: nil if it is not
	// there, or could not be looked at.
	Snapshot *Snapshot
	Content  *Content
	Claim    *corev1.PersistentVolumeClaim
	Volume   *corev1.PersistentVolume
}

// Snapshot is what is needed of a VolumeSnapshot.
type Snapshot struct {
	// Content is the name of its VolumeSnapshotContent, "" if it has none yet.
	Content         string
	Ready, Deleting bool
	// SizeBytes is what a claim has at least that begins as it, 0 if that is not known.
	SizeBytes int64
	// Error is what went wrong last.
	Error string
}

// Content is what is needed of a VolumeSnapshotContent.
type Content struct {
	Name, Driver string
	// Handle is the snapshot's or, as long as there is none, the volume's. Either begins
	// with the UUID of the disk.
	Handle string
	// Node is the one whose csi-snapshotter looks after it, "" if that is not said.
	Node string
}

// String names it for people.
func (o *Origin) String() string {
	if o.Kind == claimKind {
		return "claim " + o.Namespace + "/" + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// disk is the UUID of the disk that has it, "" if that is not known.
func (o *Origin) disk() string {
	switch {
	case o.Content != nil:
		uuid, _, _ := strings.Cut(o.Content.Handle, ".")
		return uuid
	case o.Volume != nil && o.Volume.Spec.CSI != nil:
		return pv.Disk(o.Volume)
	}
	return ""
}

// least is what a claim that begins as it has to ask for, 0 if that is not known.
func (o *Origin) least() int64 {
	switch {
	case o.Snapshot != nil:
		return o.Snapshot.SizeBytes
	case o.Claim != nil:
		asked, has := o.Claim.Spec.Resources.Requests[corev1.ResourceStorage], o.Claim.Status.Capacity[corev1.ResourceStorage]
		return max(asked.Value(), has.Value())
	}
	return 0
}

// describe is the command that shows it.
func (o *Origin) describe() string {
	kind := "volumesnapshot"
	if o.Kind == claimKind {
		kind = "pvc"
	}
	return fmt.Sprintf("kubectl -n %s describe %s %s", o.Namespace, kind, o.Name)
}

// origin finds what a claim without a volume is to begin as a copy of. Snapshots are
// looked at when a claim names one: most clusters have none.
func (c *collector) origin(ctx context.Context, claim *Claim) {
	if claim.Object == nil || claim.Object.Spec.VolumeName != "" {
		return
	}
	kind, namespace, name := BeginsAs(claim.Object)
	o := &Origin{Kind: kind, Namespace: namespace, Name: name}
	switch kind {
	case claimKind:
		c.originClaim(ctx, o)
	case snapshotKind:
		c.originSnapshot(ctx, o)
	default:
		return // another's: see invalidRequest
	}
	claim.Origin = o
}

func (c *collector) originClaim(ctx context.Context, o *Origin) {
	source, err := c.Clients.CoreV1().PersistentVolumeClaims(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if !c.look(Claims, err) {
		return
	}
	o.Claim = source
	if source.Spec.VolumeName == "" {
		return
	}
	if volume, err := c.Clients.CoreV1().PersistentVolumes().Get(ctx, source.Spec.VolumeName, metav1.GetOptions{}); c.look(Volumes, err) {
		o.Volume = volume
	}
}

func (c *collector) originSnapshot(ctx context.Context, o *Origin) {
	found, err := c.Dynamic.Resource(snapshotResource).Namespace(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	// So the API server answers for a kind that it does not know.
	o.NoKind = apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
	if !c.look(Snapshots, err) {
		return
	}
	o.Snapshot = snapshotOf(found)
	if o.Snapshot.Content == "" {
		return
	}
	content, err := c.Dynamic.Resource(contentResource).Get(ctx, o.Snapshot.Content, metav1.GetOptions{})
	if c.look(Contents, err) {
		o.Content = contentOf(content)
	}
}

func snapshotOf(u *unstructured.Unstructured) *Snapshot {
	s := &Snapshot{Deleting: u.GetDeletionTimestamp() != nil}
	s.Content, _, _ = unstructured.NestedString(u.Object, "status", "boundVolumeSnapshotContentName")
	s.Ready, _, _ = unstructured.NestedBool(u.Object, "status", "readyToUse")
	s.Error, _, _ = unstructured.NestedString(u.Object, "status", "error", "message")
	text, _, _ := unstructured.NestedString(u.Object, "status", "restoreSize")
	if size, err := resource.ParseQuantity(text); err == nil {
		s.SizeBytes = size.Value()
	}
	return s
}

func contentOf(u *unstructured.Unstructured) *Content {
	c := &Content{Name: u.GetName(), Node: u.GetLabels()[managedBy]}
	c.Driver, _, _ = unstructured.NestedString(u.Object, "spec", "driver")
	for _, field := range [][]string{{"status", "snapshotHandle"}, {"spec", "source", "snapshotHandle"}, {"spec", "source", "volumeHandle"}} {
		if c.Handle == "" {
			c.Handle, _, _ = unstructured.NestedString(u.Object, field...)
		}
	}
	return c
}

// originDisks are the disks that claims are to begin as copies on.
func (c *collector) originDisks() (uuids []string) {
	for _, claim := range append(c.Claims[:len(c.Claims):len(c.Claims)], c.Others...) {
		if claim.Origin != nil && claim.Origin.disk() != "" {
			uuids = append(uuids, claim.Origin.disk())
		}
	}
	return uuids
}
