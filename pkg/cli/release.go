package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// nobody stands as UID in the claimRef of a volume that is reserved for no claim any
// more: Kubernetes calls it Released.
const nobody = "none"

func newRelease(s *session) *cobra.Command {
	var consent consent
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "release CLAIM|pv/NAME",
		Short: "Move a volume that no claim has any more to the trash",
		Long: "Move a volume that no claim has any more to the trash: one that is Released, one that is\n" +
			"reserved for the next claim of a name, or one that Kubernetes has forgotten.\n\n" +
			"CLAIM is the claim that it was made for, as NAME or NAMESPACE/NAME; pv/NAME is the PersistentVolume,\n" +
			"or the volume's name or ID if there is none.",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.release(command.Context(), args[0], &consent, timeout)
		},
	}
	consent.addFlags(command.Flags())
	command.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait until it is done")
	return command
}

func (s *session) release(ctx context.Context, arg string, consent *consent, timeout time.Duration) error {
	if _, err := s.client(); err != nil {
		return err
	}
	name, isVolume := strings.CutPrefix(arg, "pv/")
	var claim types.NamespacedName
	if !isVolume {
		var err error
		name = ""
		if claim, err = s.claimRef(arg); err != nil {
			return err
		}
		c, err := s.clients.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(ctx, claim.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			return wrong("claim %s lives, and nothing of it is released: delete it first. If another volume was made for it before, name that as pv/NAME: %s", claim, seeVolumes(c))
		case !apierrors.IsNotFound(err):
			return err
		}
	}
	volumes, err := s.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var found []*corev1.PersistentVolume
	for i := range volumes.Items {
		v := &volumes.Items[i]
		if isVolume && v.Name == name || !isVolume && pv.Is(v, s.driver) && claimOfVolume(v) == claim {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 1:
		return s.releaseVolume(ctx, found[0], volumes.Items, consent, timeout)
	case len(found) > 1:
		var text strings.Builder
		for _, v := range found {
			fmt.Fprintf(&text, "\n    kubectl hostdir release pv/%s   # %s, %s", v.Name, v.Status.Phase, v.CreationTimestamp.UTC().Format(time.RFC3339))
		}
		return wrong("claim %s had several volumes; say which one:%s", claim, &text)
	}
	return s.releaseForgotten(ctx, name, claim, consent)
}

func seeVolumes(c *corev1.PersistentVolumeClaim) string {
	return fmt.Sprintf("kubectl get pv | grep %s/%s", c.Namespace, c.Name)
}

// releaseVolume has the node's provisioner delete the volume, as it does with those of
// deleted claims.
func (s *session) releaseVolume(ctx context.Context, v *corev1.PersistentVolume, all []corev1.PersistentVolume, consent *consent, timeout time.Duration) error {
	if err := s.isFree(ctx, v, all); err != nil {
		return err
	}
	n, plan, err := s.planDeletion(ctx, pv.Node(v, s.driver), v.Spec.CSI.VolumeHandle)
	if err != nil {
		return err
	}
	if err := s.need(ctx, right{verb: "patch", resource: "persistentvolumes"}); err != nil {
		return err
	}
	text := fmt.Sprintf("PersistentVolume %s (%s) gets the policy Delete, and hostdir on node %s deletes it.\n%s", v.Name, v.Status.Phase, n.name, plan)
	if do, err := consent.ask(s, text); !do {
		return err
	}
	if err := s.orderDeletion(ctx, v); err != nil {
		return err
	}
	if err := s.await(ctx, fmt.Sprintf("PersistentVolume %s is deleted by node %s", v.Name, n.name), timeout, func(ctx context.Context) (bool, error) {
		now, err := s.clients.CoreV1().PersistentVolumes().Get(ctx, v.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && now.UID != v.UID {
			return true, nil
		}
		if err == nil && now.Status.Phase == corev1.VolumeFailed {
			return false, fmt.Errorf("PersistentVolume %s cannot be deleted: %s; `kubectl describe pv %s` has its events", v.Name, now.Status.Message, v.Name)
		}
		return false, err
	}); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "volume %s is released\n", v.Name)
	return nil
}

// isFree fails unless nobody has the volume, nor is about to get it.
func (s *session) isFree(ctx context.Context, v *corev1.PersistentVolume, all []corev1.PersistentVolume) error {
	if !pv.Is(v, s.driver) {
		return wrong("PersistentVolume %s is not one of hostdir (%s)", v.Name, s.driver)
	}
	if busy := busyWith(v); busy != "" {
		return wrong("PersistentVolume %s is %s", v.Name, busy)
	}
	ref, phase := v.Spec.ClaimRef, v.Status.Phase
	if ref == nil {
		return wrong("PersistentVolume %s is for any claim, and in doubt: one may be bound to it at any moment. Give it a claimRef, or delete it and release the volume by its ID", v.Name)
	}
	if !pv.IsProvisioned(v, s.driver) {
		return wrong("PersistentVolume %s was made by a person, so nobody deletes its data with it: delete it (kubectl delete pv %s), and then call `kubectl hostdir release pv/%s`", v.Name, v.Name, v.Spec.CSI.VolumeHandle)
	}
	if phase != corev1.VolumeReleased && phase != corev1.VolumeAvailable && phase != corev1.VolumeFailed {
		return wrong("PersistentVolume %s is %s, for claim %s/%s: delete the claim first", v.Name, phase, ref.Namespace, ref.Name)
	}
	key := claimOfVolume(v)
	c, err := s.clients.CoreV1().PersistentVolumeClaims(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil && (ref.UID == "" || c.UID == ref.UID || c.Spec.VolumeName == v.Name) {
		return wrong("claim %s lives, and has PersistentVolume %s or is about to get it: delete the claim first", key, v.Name)
	}
	for i := range all {
		other := &all[i]
		if other.UID != v.UID && other.Name != v.Name && pv.Is(other, s.driver) && other.Spec.CSI.VolumeHandle == v.Spec.CSI.VolumeHandle {
			return wrong("PersistentVolume %s has the same directory as %s, so it is in doubt whose it is: delete the one that is wrong, which deletes no data while its policy is Retain", other.Name, v.Name)
		}
	}
	return nil
}

// claimOf is the claim that a volume is for, or was.
func claimOfVolume(v *corev1.PersistentVolume) types.NamespacedName {
	if v.Spec.ClaimRef == nil {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name}
}

// busyWith says what somebody is doing with a volume, "" for nothing.
func busyWith(v *corev1.PersistentVolume) string {
	if _, renamed := v.Annotations[renameAnnotation]; renamed {
		return "of a claim that is being renamed: call that command again"
	}
	if ref := v.Spec.ClaimRef; ref != nil && strings.HasPrefix(ref.Name, ":") {
		return "being taken from a claim: wait for some seconds"
	}
	if v.DeletionTimestamp != nil && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return fmt.Sprintf("being deleted with the policy %s: release its volume by its ID when it is gone: pv/%s", v.Spec.PersistentVolumeReclaimPolicy, v.Spec.CSI.VolumeHandle)
	}
	return ""
}

// planDeletion asks the node of a volume, which refuses if it is mounted.
func (s *session) planDeletion(ctx context.Context, name, id string) (*node, string, error) {
	n, err := s.node(ctx, name)
	if err != nil {
		return nil, "", fmt.Errorf("its node has to live, to see that nothing uses the volume and to delete it: %w; for a node that is gone see docs/how-to/node-loss.md", err)
	}
	plan, err := n.plugin.PlanDeletion(ctx, id)
	if err != nil {
		return nil, "", wrong("node %s: %w", name, err)
	}
	return n, releasePlan(plan), nil
}

// releasePlan is what a person is asked about.
func releasePlan(d admin.Deletion) string {
	if d.ID == "" {
		return "Its files are in the trash already, or gone."
	}
	text := fmt.Sprintf("  volume:    %s\n  node path: %s\n", d.ID, d.Path)
	if d.Claim != nil {
		text += fmt.Sprintf("  made for:  claim %s\n", d.Claim)
	}
	text += "  size:      " + size(&d.CapacityBytes)
	if d.Used != nil {
		text += ", " + size(&d.Used.Bytes) + " used"
	}
	if d.TrashTTL > 0 {
		return text + fmt.Sprintf("\nIt goes to the trash, and `kubectl hostdir undelete` brings it back for %s, or until the disk runs full.", d.TrashTTL)
	}
	return text + "\nIts class and pool have no trashTTL: its files are removed at once, for good."
}

// orderDeletion is one write, that fails if anybody has written the volume since it was
// looked at, as a binder would: it is nobody's from then on, and to be deleted.
func (s *session) orderDeletion(ctx context.Context, v *corev1.PersistentVolume) error {
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && v.Spec.ClaimRef.UID != "" {
		return nil // it was ordered already
	}
	spec := map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimDelete}
	if v.Spec.ClaimRef.UID == "" {
		spec["claimRef"] = map[string]any{"uid": nobody}
	}
	return s.patchVolume(ctx, v, map[string]any{"resourceVersion": v.ResourceVersion}, spec)
}

// releaseForgotten deletes a volume that no PersistentVolume names, by the node's order.
func (s *session) releaseForgotten(ctx context.Context, name string, claim types.NamespacedName, consent *consent) error {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Volumes, error) { return n.plugin.Volumes(ctx) })
	type candidate struct {
		node   *node
		volume admin.Volume
	}
	var found []candidate
	for _, a := range answers {
		for _, v := range a.value.Volumes {
			if name != "" && (v.ID == name || v.Name == name) || name == "" && v.Claim != nil && v.Claim.Namespace == claim.Namespace && v.Claim.Name == claim.Name {
				if err := s.isForgotten(ctx, v); err != nil {
					if name != "" {
						return err
					}
					continue
				}
				found = append(found, candidate{a.node, v})
			}
		}
	}
	if len(found) != 1 {
		// What a node that is silent has may be the one that is meant.
		if err := unanswered(answers); err != nil {
			return err
		}
	}
	switch {
	case len(found) == 0 && name != "":
		return fmt.Errorf("there is no PersistentVolume %s, and no volume of that name or ID on any node", name)
	case len(found) == 0:
		return fmt.Errorf("no PersistentVolume is for claim %s, and no forgotten volume on any node was made for it", claim)
	case len(found) > 1:
		var text strings.Builder
		for _, f := range found {
			fmt.Fprintf(&text, "\n    kubectl hostdir release pv/%s   # node %s, %s", f.volume.ID, f.node.name, f.volume.Path)
		}
		return wrong("several forgotten volumes are meant; say which one:%s", &text)
	}
	n, v := found[0].node, found[0].volume
	_, plan, err := s.planDeletion(ctx, n.name, v.ID)
	if err != nil {
		return err
	}
	if do, err := consent.ask(s, fmt.Sprintf("No PersistentVolume names this volume of node %s, and its plugin deletes it.\n%s", n.name, plan)); !do {
		return err
	}
	// Somebody may have made one while the person thought.
	if err := s.isForgotten(ctx, v); err != nil {
		return err
	}
	if _, err := n.plugin.Delete(ctx, v.ID); err != nil {
		return wrong("node %s: %w", n.name, err)
	}
	fmt.Fprintf(s.Out, "volume %s is released\n", v.ID)
	return nil
}

// isForgotten fails if a PersistentVolume names the volume, or is about to: the claim
// that it was made for lives, and has no other.
func (s *session) isForgotten(ctx context.Context, v admin.Volume) error {
	all, err := s.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range all.Items {
		if other := &all.Items[i]; pv.Is(other, s.driver) && other.Spec.CSI.VolumeHandle == v.ID {
			return wrong("PersistentVolume %s names volume %s: call `kubectl hostdir release pv/%s`", other.Name, v.ID, other.Name)
		}
	}
	if v.Claim == nil {
		return nil
	}
	c, err := s.clients.CoreV1().PersistentVolumeClaims(v.Claim.Namespace).Get(ctx, v.Claim.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Spec.VolumeName == "" || c.Spec.VolumeName == v.Name || "pvc-"+string(c.UID) == v.Name {
		return wrong("claim %s lives, and volume %s was made for it: delete the claim first, or give it its volume back (`hostdir volumes pv`)", v.Claim, v.ID)
	}
	return nil
}
