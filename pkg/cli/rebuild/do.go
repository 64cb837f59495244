package rebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Do does what a row says. Killed anywhere, the next plan goes on from there.
func (s Source) Do(ctx context.Context, r Row) error {
	var err error
	switch r.Volume {
	case Create:
		err = s.create(ctx, r.new)
	case Exchange:
		err = s.exchange(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("PersistentVolume %s of volume %s: %w", r.PersistentVolume, r.VolumeID, err)
	}
	if r.ClaimVerb != Create {
		return nil
	}
	_, err = s.Clients.CoreV1().PersistentVolumeClaims(r.claim.Namespace).Create(ctx, r.claim, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("claim %s: %w", r.Claim, err)
	}
	return nil
}

// create takes one that is there meanwhile for its own if it is for the same volume on
// the same node.
func (s Source) create(ctx context.Context, fresh *corev1.PersistentVolume) error {
	_, err := s.Clients.CoreV1().PersistentVolumes().Create(ctx, fresh, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, getErr := s.Clients.CoreV1().PersistentVolumes().Get(ctx, fresh.Name, metav1.GetOptions{})
	if getErr != nil {
		return getErr
	}
	if there.DeletionTimestamp == nil && pv.Is(there, s.Driver) && there.Spec.CSI.VolumeHandle == fresh.Spec.CSI.VolumeHandle && pv.Node(there, s.Driver) == pv.Node(fresh, s.Driver) {
		return nil
	}
	return err
}

// exchange keeps the order: a note of what is to come; Retain, so that nobody deletes
// the volume with its PersistentVolume; and away with that, though a claim has it. The
// claim is Lost until the new one is there, and then Bound again: claimRef names it by
// UID.
func (s Source) exchange(ctx context.Context, r Row) error {
	if r.old != nil {
		if err := s.write(ctx, Note{PersistentVolume: *r.new, Old: r.old.UID}); err != nil {
			return err
		}
		if err := s.remove(ctx, r.old); err != nil {
			return err
		}
	}
	if err := s.create(ctx, r.new); err != nil {
		return err
	}
	return s.dropNote(ctx, r.VolumeID)
}

func (s Source) remove(ctx context.Context, old *corev1.PersistentVolume) error {
	volumes := s.Clients.CoreV1().PersistentVolumes()
	if old.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		retain, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": old.UID, "resourceVersion": old.ResourceVersion},
			"spec":     map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain},
		})
		if err != nil {
			return err
		}
		if _, err := volumes.Patch(ctx, old.Name, types.MergePatchType, retain, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	if err := s.mayGo(ctx, old); err != nil {
		return err
	}
	if err := volumes.Delete(ctx, old.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(old.UID))}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	there, err := volumes.Get(ctx, old.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && there.UID != old.UID {
		return nil
	}
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(there.Finalizers), func(f string) bool { return slices.Contains(pv.Protections, f) })
	bare, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": old.UID, "resourceVersion": there.ResourceVersion, "finalizers": left}})
	if err != nil {
		return err
	}
	if _, err := volumes.Patch(ctx, old.Name, types.MergePatchType, bare, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("it stays until its finalizers are gone: %s; then the same command goes on", strings.Join(left, ", "))
	}
	return nil
}

// mayGo looks once more whether a pod has begun to run with it.
func (s Source) mayGo(ctx context.Context, old *corev1.PersistentVolume) error {
	c := old.Spec.ClaimRef
	if c == nil {
		return nil
	}
	pods, err := s.Clients.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if pod := runningWith(pods.Items, admin.Claim{Namespace: c.Namespace, Name: c.Name}); pod != "" {
		return fmt.Errorf("pod %s runs with it now: end that first", pod)
	}
	return nil
}

// Objects are what the rows would create.
func Objects(rows []Row) (all []runtime.Object) {
	for _, r := range rows {
		if r.Volume == Create {
			all = append(all, r.new)
		}
	}
	for _, r := range rows {
		if r.ClaimVerb == Create {
			all = append(all, r.claim)
		}
	}
	return all
}
