package reuse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hostdir/hostdir/pkg/config"
)

// parked begins the name in the claimRef of a volume that was taken from a claim. No
// claim can have it.
const parked = ":"

// parkedFor is how long the scheduler needs to see that a volume is not the pod's any
// more: it looks once a second, at claimRef.uid, and would wait ten minutes otherwise.
const parkedFor = 3 * time.Second

// copied are the annotations that a twin has as well: csi-provisioner's, who deletes the
// data by them if a person makes the policy Delete.
var copied = []string{
	"pv.kubernetes.io/provisioned-by",
	"volume.kubernetes.io/provisioner-deletion-secret-name",
	"volume.kubernetes.io/provisioner-deletion-secret-namespace",
}

// maxRounds bounds the search for a free name.
const maxRounds = 1000

// hold puts the finalizer on the claim.
func (r *reuse) hold(ctx context.Context, w *world) error {
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"finalizers":[%q]}}`, w.claim.UID, Finalizer)
	claim := w.claim.DeepCopy()
	err := r.cached.Patch(ctx, claim, client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
	if apierrors.IsInvalid(err) {
		// It is being deleted: nothing can hold it now, and its volume is looked
		// after when it is gone.
		klog.FromContext(ctx).V(2).Info("claim cannot be held", "err", err)
		w.claim.Finalizers = append(w.claim.Finalizers, Finalizer)
		return nil
	}
	if err == nil {
		w.claim = claim
	}
	return err
}

// letGoOf takes the finalizer off a claim.
func letGoOf(ctx context.Context, c client.Client, claim *corev1.PersistentVolumeClaim) error {
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"$deleteFromPrimitiveList/finalizers":[%q]}}`, claim.UID, Finalizer)
	return client.IgnoreNotFound(c.Patch(ctx, claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, []byte(patch))))
}

// reserve makes a twin of a volume, or finds the one that was made.
func (r *reuse) reserve(ctx context.Context, w *world, v *corev1.PersistentVolume) error {
	for name, i := next(v, w.namespace.uid, w.key.Name), 0; i < maxRounds; name.round, i = name.round+1, i+1 {
		twin := newTwin(v, name, w.key.Name, w.claim)
		err := r.cached.Create(ctx, twin)
		if apierrors.IsAlreadyExists(err) {
			twin = &corev1.PersistentVolume{}
			if err := r.live.Get(ctx, types.NamespacedName{Name: name.String()}, twin); err != nil {
				return err
			}
			if !r.isKept(twin) || !replaces(twin, v) || !retained(twin) || twin.DeletionTimestamp != nil {
				continue // one of another directory
			}
			err = nil
		}
		if err != nil {
			return err
		}
		klog.FromContext(ctx).V(2).Info("volume reserved", "volume", v.Name, "for", w.key, "as", twin.Name)
		w.volumes = append(w.volumes, twin)
		return nil
	}
	return fmt.Errorf("volume %s cannot be reserved for %s: there are %d PersistentVolumes with names for it; delete those that are Released", v.Name, w.key, maxRounds)
}

// newTwin returns the volume's twin. claim is the one that has it, if that exists.
func newTwin(v *corev1.PersistentVolume, name twinName, claimName string, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	twin := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name.String(), Labels: maps.Clone(v.Labels), Annotations: map[string]string{claimAnnotation: claimName}},
		Spec:       *v.Spec.DeepCopy(),
	}
	metav1.SetMetaDataLabel(&twin.ObjectMeta, twinLabel, string(config.ReuseSameClaim))
	for _, key := range copied {
		if value, ok := v.Annotations[key]; ok {
			twin.Annotations[key] = value
		}
	}
	twin.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: v.Spec.ClaimRef.Namespace, Name: claimName}
	if claim != nil && claim.UID == v.Spec.ClaimRef.UID {
		// While a volume grows its PersistentVolume says the new size before the
		// node has made it so.
		if has, ok := claim.Status.Capacity[corev1.ResourceStorage]; ok && has.Cmp(v.Spec.Capacity[corev1.ResourceStorage]) < 0 {
			twin.Spec.Capacity[corev1.ResourceStorage] = has
		}
	}
	return twin
}

// rename says whose a volume is.
func (r *reuse) rename(ctx context.Context, w *world, v *corev1.PersistentVolume, name string, uid types.UID) error {
	changed, err := setClaim(ctx, r.cached, v, name, uid)
	if err != nil {
		return err
	}
	for i := range w.volumes {
		if w.volumes[i].UID == v.UID {
			w.volumes[i] = changed
		}
	}
	return nil
}

// setClaim writes the name and UID of the claim that a volume is for, provided that
// nobody has written the volume since it was read.
func setClaim(ctx context.Context, c client.Client, v *corev1.PersistentVolume, name string, uid types.UID) (*corev1.PersistentVolume, error) {
	ref := map[string]any{"name": name, "uid": nil, "resourceVersion": nil}
	if uid != "" {
		ref["uid"] = uid
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": v.UID, "resourceVersion": v.ResourceVersion},
		"spec":     map[string]any{"claimRef": ref},
	})
	if err != nil {
		return nil, err
	}
	changed := v.DeepCopy()
	err = c.Patch(ctx, changed, client.RawPatch(types.MergePatchType, patch))
	klog.FromContext(ctx).V(2).Info("volume is for", "volume", v.Name, "claim", name, "uid", uid, "err", err)
	return changed, err
}

// settles returns how long a volume that was taken from a claim still has to wait.
func (r *reuse) settles(v *corev1.PersistentVolume) time.Duration {
	if !isParked(v) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	since, ok := r.parked[v.UID]
	if !ok {
		since = time.Now()
		r.parked[v.UID] = since
	}
	wait := parkedFor - time.Since(since)
	if wait <= 0 {
		delete(r.parked, v.UID)
	}
	return wait
}

// remove deletes the PersistentVolume that a twin has replaced. Its policy is Retain, so
// that nobody deletes the directory; it was read from the API server, and the deletion
// fails if it was written since.
func (r *reuse) remove(ctx context.Context, w *world, s step) error {
	twin := &corev1.PersistentVolume{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(s.twin), twin); err != nil {
		return err
	}
	if !replaces(twin, s.volume) || twin.DeletionTimestamp != nil {
		return apierrors.NewConflict(corev1.Resource("persistentvolumes"), twin.Name, fmt.Errorf("the twin of %s is another one now", s.volume.Name))
	}
	err := r.cached.Delete(ctx, s.volume.DeepCopy(), client.Preconditions{UID: &s.volume.UID, ResourceVersion: &s.volume.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	klog.FromContext(ctx).V(2).Info("volume replaced", "volume", s.volume.Name, "for", w.key, "by", twin.Name)
	for i := range w.volumes {
		if w.volumes[i].UID == s.volume.UID {
			w.volumes = append(w.volumes[:i], w.volumes[i+1:]...)
			break
		}
	}
	return nil
}
