package nodeloss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// errNotLost says that a node is there after all.
var errNotLost = errors.New("the API server says otherwise of the node than the cache")

func logger(ctx context.Context) klog.Logger { return klog.FromContext(ctx) }

// take takes a step. Each write names the version of the object that was decided on.
func (l *nodeloss) take(ctx context.Context, w *world, s step) error {
	if s.do.givesUp() {
		if err := l.confirm(ctx, s); err != nil {
			return err
		}
		if s.slot != nil {
			if err := l.enter(ctx, w, s.volume.UID, *s.slot); err != nil {
				return err
			}
		}
	}
	err := l.write(ctx, w, s)
	if s.do != tell {
		log := logger(ctx).V(2)
		if s.do.givesUp() {
			log = logger(ctx)
		}
		log.Info("node loss", "step", s.do.String(), "node", s.node, "volume", nameOf(s.volume), "claim", klog.KObj(s.claim), "err", err)
	}
	if err == nil {
		steps.WithLabelValues(s.do.String()).Inc()
	}
	return err
}

func nameOf(v *corev1.PersistentVolume) string {
	if v == nil {
		return ""
	}
	return v.Name
}

// confirm asks the API server whether the node is as absent as it was in the cache, and
// whether the volume is the one that was decided on.
func (l *nodeloss) confirm(ctx context.Context, s step) error {
	if s.absent {
		present, err := l.isPresent(ctx, s.node)
		if err != nil {
			return err
		}
		if present {
			return errNotLost
		}
	}
	if s.volume == nil {
		return nil
	}
	v := &corev1.PersistentVolume{}
	if err := l.live.Get(ctx, types.NamespacedName{Name: s.volume.Name}, v); err != nil {
		return err
	}
	if v.UID != s.volume.UID || v.ResourceVersion != s.volume.ResourceVersion {
		return changed("persistentvolumes", v.Name)
	}
	return nil
}

func changed(resource, name string) error {
	return apierrors.NewConflict(corev1.Resource(resource), name, errors.New("it has changed"))
}

// maxLabel is the longest value of a label; the plugin shortens names that are longer.
const maxLabel = 63

func (l *nodeloss) isPresent(ctx context.Context, node string) (bool, error) {
	n := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
	err := l.live.Get(ctx, types.NamespacedName{Name: node}, n)
	if err == nil || !apierrors.IsNotFound(err) {
		return err == nil, err
	}
	if len(node) < maxLabel {
		return false, nil
	}
	all := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	err = l.live.List(ctx, all, client.MatchingLabels{l.driver + "/node": node})
	return len(all.Items) > 0, err
}

func (l *nodeloss) write(ctx context.Context, w *world, s step) error {
	v, c := s.volume, s.claim
	now := written(w.now)
	switch s.do {
	case mark:
		return l.patch(ctx, v, annotated(v, map[string]any{NodeLostSince: now, DiskMissingSince: nil, Told: nil}, nil))
	case back:
		return l.patch(ctx, v, annotated(v, map[string]any{NodeLostSince: nil, DiskMissingSince: now}, nil))
	case found:
		return l.found(ctx, s)
	case tell:
		reason, text := s.notice(l.options)
		if err := l.patch(ctx, v, annotated(v, map[string]any{Told: string(s.state)}, nil)); err != nil {
			return err
		}
		logger(ctx).Info("node loss: "+text, "state", string(s.state), "volume", v.Name)
		l.about(s, corev1.EventTypeWarning, reason, text)
		return nil
	case secure:
		return l.secure(ctx, w, s)
	case letGo:
		finalizers := slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == reuseFinalizer })
		return l.patch(ctx, c, annotated(c, nil, map[string]any{"finalizers": finalizers}))
	case deleteClaim:
		if err := l.cached.Delete(ctx, c.DeepCopy(), precisely(c)); err != nil {
			return err
		}
		l.about(step{claim: c}, corev1.EventTypeWarning, "NodeLossRecreated", fmt.Sprintf("node %s is gone: the claim is deleted, so that its StatefulSet makes it anew, and empty. What volume %s holds stays on its disk", s.node, v.Name))
		return nil
	case deleteVolume:
		if err := l.cached.Delete(ctx, v.DeepCopy(), precisely(v)); err != nil {
			return err
		}
		l.about(step{volume: v}, corev1.EventTypeNormal, "NodeLossReleased", fmt.Sprintf("node %s is gone: the PersistentVolume is deleted. Its data stays on disk %s", s.node, pv.Disk(v)))
		givenUpTotal.Inc()
		return nil
	case markClaim:
		return l.patch(ctx, c, annotated(c, map[string]any{NodeLostSince: now}, nil))
	case unmarkClaim:
		return l.patch(ctx, c, annotated(c, map[string]any{NodeLostSince: nil}, nil))
	case reschedule:
		if err := l.patch(ctx, c, annotated(c, map[string]any{NodeLostSince: nil, selectedNode: nil}, nil)); err != nil {
			return err
		}
		l.about(step{claim: c}, corev1.EventTypeNormal, "NodeLossRescheduled", fmt.Sprintf("node %s, which was to make the volume, is gone: the scheduler chooses another one", s.node))
		return nil
	}
	return fmt.Errorf("unknown step %d", s.do)
}

// secure makes sure that whoever comes back deletes nothing: with the policy Retain the
// node's provisioner leaves the data alone, and without its finalizer the
// PersistentVolume can go. Both are one write. One that is being deleted already goes
// with it.
func (l *nodeloss) secure(ctx context.Context, w *world, s step) error {
	v := s.volume
	var g givenUp
	// What it had at first counts.
	if json.Unmarshal([]byte(v.Annotations[pv.GivenUpAnnotation]), &g) != nil || g.Policy == "" {
		g = givenUp{At: w.now, Policy: v.Spec.PersistentVolumeReclaimPolicy}
	}
	finalizers := slices.DeleteFunc(slices.Clone(v.Finalizers), func(f string) bool { return f == pv.DeletionFinalizer })
	patch := annotated(v, map[string]any{pv.GivenUpAnnotation: g.String()}, map[string]any{"finalizers": finalizers})
	patch["spec"] = map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain}
	return l.patch(ctx, v, patch)
}

// found takes back what was begun about a volume: its disk is there. A claim that was
// to be deleted stays, and its volume is as it was. A volume that was taken from its
// claim before keeps the policy Retain: what it holds is for a person to decide.
func (l *nodeloss) found(ctx context.Context, s step) error {
	v := s.volume
	patch := annotated(v, map[string]any{
		NodeLostSince: nil, DiskMissingSince: nil, Told: nil, pv.GiveUpAnnotation: nil, pv.GivenUpAnnotation: nil,
	}, nil)
	reason, text := "NodeReturned", fmt.Sprintf("node %s is back with disk %s of volume %s", s.node, pv.Disk(v), v.Name)
	if pv.GivenUp(v) {
		var g givenUp
		mine, err := l.stopDeleting(ctx, s.claim, v)
		switch {
		case err != nil:
			return err
		case mine && json.Unmarshal([]byte(v.Annotations[pv.GivenUpAnnotation]), &g) == nil && g.Policy != "":
			patch["spec"] = map[string]any{"persistentVolumeReclaimPolicy": g.Policy}
		case !mine:
			text += "; its claim was given up before, so that nobody uses it. Its data is kept, with the policy Retain: delete the PersistentVolume and, on the node, the volume, or give it to a claim (docs/how-to/node-loss.md)"
		}
	}
	if v.Annotations[pv.GiveUpAnnotation] != "" {
		reason, text = "GiveUpRefused", text+": it is not lost, and what was said of it is withdrawn"
	}
	if err := l.patch(ctx, v, patch); err != nil {
		return err
	}
	if _, told := v.Annotations[Told]; told || reason == "GiveUpRefused" || pv.GivenUp(v) {
		l.about(s, corev1.EventTypeNormal, reason, text)
	}
	return nil
}

// stopDeleting reports whether the claim still has the volume, and sees to it that no
// deletion that was decided on before can come after: it names an older version.
func (l *nodeloss) stopDeleting(ctx context.Context, cached *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) (bool, error) {
	if cached == nil {
		return false, nil
	}
	c := &corev1.PersistentVolumeClaim{}
	if err := l.live.Get(ctx, client.ObjectKeyFromObject(cached), c); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if c.UID != cached.UID || c.DeletionTimestamp != nil || c.Spec.VolumeName != v.Name {
		return false, nil
	}
	// The value differs each time, or nothing would be written.
	return true, l.patch(ctx, c, annotated(c, map[string]any{Told: "returned-" + c.ResourceVersion}, nil))
}

func (l *nodeloss) patch(ctx context.Context, o client.Object, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return l.cached.Patch(ctx, o.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, text))
}

// precisely lets a deletion fail if the object is another one, or was written since.
func precisely(o client.Object) client.Preconditions {
	uid, version := o.GetUID(), o.GetResourceVersion()
	return client.Preconditions{UID: &uid, ResourceVersion: &version}
}
