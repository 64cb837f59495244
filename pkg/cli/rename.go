package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// renameAnnotation is on a PersistentVolume that is on its way from one claim to
// another: a renaming, from which the same command goes on.
const renameAnnotation = "csi.hostdir.io/rename"

// renaming is what was begun.
type renaming struct {
	From    string    `json:"from"`
	FromUID types.UID `json:"fromUID"`
	To      string    `json:"to"`
	// Policy is what the volume had before, and gets back.
	Policy corev1.PersistentVolumeReclaimPolicy `json:"policy"`
}

func newRename(s *session) *cobra.Command {
	var consent consent
	var to string
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "rename CLAIM NEW",
		Short: "Give a claim's volume to a new claim of another name or namespace",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			from, err := s.claimRef(args[0])
			if err != nil {
				return err
			}
			target := types.NamespacedName{Namespace: from.Namespace, Name: args[1]}
			if to != "" {
				target.Namespace = to
			}
			if strings.Contains(target.Name, "/") || target == from {
				return fmt.Errorf("%q is not another name; another namespace is named by --to-namespace", args[1])
			}
			return s.rename(command.Context(), from, target, &consent, timeout)
		},
	}
	consent.addFlags(command.Flags())
	command.Flags().StringVar(&to, "to-namespace", "", "the namespace of the new claim (default: that of the old one)")
	command.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait for each step")
	return command
}

// rename is in an order such that at every moment the volume is taken for one of the two
// claims, and has the policy Retain: nobody else can get it, and nobody deletes it. The
// volume is given to the new claim before the old one is deleted, and so
// hostdir-controller reserves nothing for claims of the old one's name.
func (s *session) rename(ctx context.Context, from, to types.NamespacedName, consent *consent, timeout time.Duration) error {
	if _, err := s.client(); err != nil {
		return err
	}
	v, r, err := s.begun(ctx, from, to)
	if err != nil {
		return err
	}
	if v == nil {
		if v, r, err = s.planRenaming(ctx, from, to); err != nil {
			return err
		}
	}
	if err := s.need(ctx, right{verb: "patch", resource: "persistentvolumes"}, right{"list", "", "pods", from.Namespace},
		right{"delete", "", "persistentvolumeclaims", from.Namespace}, right{"create", "", "persistentvolumeclaims", to.Namespace}); err != nil {
		return err
	}
	plan := fmt.Sprintf("Claim %s is made for PersistentVolume %s, and claim %s deleted. No data is touched.\nWhoever made the old claim may make it anew, and empty: change its name in manifests as well.", to, v.Name, from)
	if _, begun := v.Annotations[renameAnnotation]; begun {
		plan = "This was begun before, and goes on.\n" + plan
	}
	if do, err := consent.ask(s, plan); !do {
		return err
	}
	if v, err = s.note(ctx, v, r); err != nil {
		return err
	}
	claim, err := s.newClaim(ctx, v, from, to)
	if err != nil {
		return err
	}
	if err := s.rebind(ctx, v, from, claim); err != nil {
		return err
	}
	if err := s.await(ctx, fmt.Sprintf("claim %s is bound", to), timeout, func(ctx context.Context) (bool, error) {
		now, err := s.clients.CoreV1().PersistentVolumeClaims(to.Namespace).Get(ctx, to.Name, metav1.GetOptions{})
		return err == nil && now.UID == claim.UID && now.Status.Phase == corev1.ClaimBound, err
	}); err != nil {
		return err
	}
	if err := s.deleteOld(ctx, from, r.FromUID, timeout); err != nil {
		return err
	}
	if err := s.patchVolume(ctx, v, map[string]any{"annotations": map[string]any{renameAnnotation: nil}},
		map[string]any{"persistentVolumeReclaimPolicy": r.Policy}); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "claim %s is now %s\n", from, to)
	return nil
}

// begun returns the volume of a renaming that was begun, nil if there is none.
func (s *session) begun(ctx context.Context, from, to types.NamespacedName) (*corev1.PersistentVolume, renaming, error) {
	all, err := s.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, renaming{}, err
	}
	for i := range all.Items {
		v := &all.Items[i]
		text, ok := v.Annotations[renameAnnotation]
		if !ok || !pv.Is(v, s.driver) {
			continue
		}
		var r renaming
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, renaming{}, fmt.Errorf("annotation %s of PersistentVolume %s cannot be read: %w", renameAnnotation, v.Name, err)
		}
		switch {
		case r.From == from.String() && r.To == to.String():
			return v, r, nil
		case r.From == from.String() || r.To == to.String():
			return nil, renaming{}, wrong("claim %s is being renamed to %s; finish that first: call it again", r.From, r.To)
		}
	}
	return nil, renaming{}, nil
}

// planRenaming looks whether all is well before anything is done.
func (s *session) planRenaming(ctx context.Context, from, to types.NamespacedName) (*corev1.PersistentVolume, renaming, error) {
	none := renaming{}
	old, err := s.clients.CoreV1().PersistentVolumeClaims(from.Namespace).Get(ctx, from.Name, metav1.GetOptions{})
	if err != nil {
		return nil, none, err
	}
	asks, has := old.Spec.Resources.Requests[corev1.ResourceStorage], old.Status.Capacity[corev1.ResourceStorage]
	switch {
	case old.DeletionTimestamp != nil:
		return nil, none, wrong("claim %s is being deleted", from)
	case old.Spec.VolumeName == "" || old.Status.Phase != corev1.ClaimBound:
		return nil, none, wrong("claim %s is %s: only a bound one has a volume; make a claim of the new name instead", from, old.Status.Phase)
	case old.Annotations[importing] != "":
		return nil, none, wrong("the volume of claim %s is being imported: finish that first", from)
	case asks.Cmp(has) > 0:
		return nil, none, wrong("claim %s is growing from %s to %s: rename it when it has; `kubectl hostdir why %s` says what it waits for", from, has.String(), asks.String(), from)
	}
	if err := s.checkNoPod(ctx, from); err != nil {
		return nil, none, err
	}
	v, err := s.clients.CoreV1().PersistentVolumes().Get(ctx, old.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return nil, none, err
	}
	busy := ""
	if pv.Is(v, s.driver) {
		busy = busyWith(v)
	}
	switch {
	case !pv.Is(v, s.driver):
		return nil, none, wrong("claim %s is not one of hostdir (%s)", from, s.driver)
	case busy != "":
		return nil, none, wrong("PersistentVolume %s of claim %s is %s", v.Name, from, busy)
	case pv.GivenUp(v) || v.DeletionTimestamp != nil:
		return nil, none, wrong("PersistentVolume %s of claim %s is given up or being deleted", v.Name, from)
	case v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != old.UID:
		return nil, none, wrong("PersistentVolume %s is not claim %s's: it says otherwise", v.Name, from)
	case strings.HasPrefix(v.Name, "reuse-"):
		return nil, none, wrong("PersistentVolume %s was reserved for claims called %s, and its name says so. To give it to another claim see docs/how-to/reuse.md, \"Give it to another claim\"", v.Name, from)
	}
	if err := s.isFreeName(ctx, to); err != nil {
		return nil, none, err
	}
	// What the API server would refuse it refuses now, when nothing has been done.
	_, err = s.clients.CoreV1().PersistentVolumeClaims(to.Namespace).Create(ctx, successor(old, to), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, none, fmt.Errorf("nothing was done, for claim %s cannot be made: %w", to, err)
	}
	return v, renaming{From: from.String(), FromUID: old.UID, To: to.String(), Policy: v.Spec.PersistentVolumeReclaimPolicy}, nil
}

// isFreeName fails if there is a claim of the name, or a volume reserved for one.
func (s *session) isFreeName(ctx context.Context, to types.NamespacedName) error {
	_, err := s.clients.CoreV1().PersistentVolumeClaims(to.Namespace).Get(ctx, to.Name, metav1.GetOptions{})
	if err == nil {
		return wrong("there is a claim %s already", to)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	all, err := s.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range all.Items {
		if v := &all.Items[i]; claimOfVolume(v) == to && v.Spec.ClaimRef.UID == "" {
			return wrong("PersistentVolume %s is reserved for claim %s. If it is not wanted: kubectl hostdir release pv/%s", v.Name, to, v.Name)
		}
	}
	return nil
}

// note writes down what is begun, and lets nobody delete the volume's data.
func (s *session) note(ctx context.Context, v *corev1.PersistentVolume, r renaming) (*corev1.PersistentVolume, error) {
	if _, begun := v.Annotations[renameAnnotation]; !begun {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if err := s.patchWhile(ctx, v, func(metadata map[string]any) error {
			metadata["annotations"] = map[string]any{renameAnnotation: string(text)}
			return s.patchVolume(ctx, v, metadata, map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain})
		}); err != nil {
			return nil, err
		}
	}
	return s.clients.CoreV1().PersistentVolumes().Get(ctx, v.Name, metav1.GetOptions{})
}

// newClaim makes the new claim, or returns the one that was made.
func (s *session) newClaim(ctx context.Context, v *corev1.PersistentVolume, from, to types.NamespacedName) (*corev1.PersistentVolumeClaim, error) {
	claims := s.clients.CoreV1().PersistentVolumeClaims(to.Namespace)
	claim, err := claims.Get(ctx, to.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && claimOfVolume(v) == to {
		return nil, wrong("PersistentVolume %s was given to claim %s, which somebody has deleted. The data is kept, with the policy Retain; annotation %s of the PersistentVolume says what it had before", v.Name, to, renameAnnotation)
	}
	if apierrors.IsNotFound(err) {
		var old *corev1.PersistentVolumeClaim
		old, err = s.clients.CoreV1().PersistentVolumeClaims(from.Namespace).Get(ctx, from.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		claim, err = claims.Create(ctx, successor(old, to), metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	if claim.Spec.VolumeName != v.Name {
		return nil, wrong("claim %s was made by somebody else meanwhile. Delete it, and call the same command again", to)
	}
	return claim, nil
}

// bookkeeping are annotations of Kubernetes about how a claim was bound.
var bookkeeping = []string{
	"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "volume.kubernetes.io/selected-node",
	storageProvisioner, "volume.beta.kubernetes.io/storage-provisioner", corev1.LastAppliedConfigAnnotation,
}

// successor is the claim that gets the volume of another one.
func successor(old *corev1.PersistentVolumeClaim, to types.NamespacedName) *corev1.PersistentVolumeClaim {
	old = old.DeepCopy()
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: to.Name, Namespace: to.Namespace, Labels: old.Labels, Annotations: old.Annotations},
		Spec:       old.Spec,
	}
	for _, key := range bookkeeping {
		delete(claim.Annotations, key)
	}
	// What it was made of is in it; it is to be filled with nothing again.
	claim.Spec.Selector, claim.Spec.DataSource, claim.Spec.DataSourceRef = nil, nil, nil
	return claim
}

// rebind gives the volume to the new claim, unless it has it.
func (s *session) rebind(ctx context.Context, v *corev1.PersistentVolume, from types.NamespacedName, claim *corev1.PersistentVolumeClaim) error {
	if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID == claim.UID {
		return nil
	}
	if err := s.checkNoPod(ctx, from); err != nil {
		return err
	}
	return s.patchWhile(ctx, v, func(metadata map[string]any) error {
		return s.patchVolume(ctx, v, metadata, map[string]any{"claimRef": map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.Namespace, "name": claim.Name, "uid": claim.UID, "resourceVersion": claim.ResourceVersion,
		}})
	})
}

// patchWhile patches a volume as long as it is the same claim's. Its provisioner and
// Kubernetes write finalizers and phases of their own meanwhile.
func (s *session) patchWhile(ctx context.Context, v *corev1.PersistentVolume, patch func(metadata map[string]any) error) error {
	version := v.ResourceVersion
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		err := patch(map[string]any{"resourceVersion": version})
		if !apierrors.IsConflict(err) {
			return err
		}
		now, failed := s.clients.CoreV1().PersistentVolumes().Get(ctx, v.Name, metav1.GetOptions{})
		switch {
		case failed != nil:
			return failed
		case now.UID != v.UID || now.DeletionTimestamp != nil || !equality.Semantic.DeepEqual(now.Spec.ClaimRef, v.Spec.ClaimRef):
			return wrong("PersistentVolume %s was changed by somebody else meanwhile; call the same command again to see what it is now", v.Name)
		}
		version = now.ResourceVersion
		return err
	})
}

// deleteOld deletes the old claim, which has no volume any more, and no other of its name.
func (s *session) deleteOld(ctx context.Context, from types.NamespacedName, uid types.UID, timeout time.Duration) error {
	claims := s.clients.CoreV1().PersistentVolumeClaims(from.Namespace)
	isGone := func(ctx context.Context) (bool, error) {
		now, err := claims.Get(ctx, from.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && now.UID != uid, err
	}
	gone, err := isGone(ctx)
	if gone || err != nil {
		return err
	}
	err = claims.Delete(ctx, from.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return s.await(ctx, fmt.Sprintf("claim %s is gone (hostdir-controller lets go of claims of a class with `reuse`)", from), timeout, isGone)
}

// patchVolume changes metadata and spec of a volume in one write.
func (s *session) patchVolume(ctx context.Context, v *corev1.PersistentVolume, metadata, spec map[string]any) error {
	metadata["uid"] = v.UID
	patch, err := json.Marshal(map[string]any{"metadata": metadata, "spec": spec})
	if err != nil {
		return err
	}
	_, err = s.clients.CoreV1().PersistentVolumes().Patch(ctx, v.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
