package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// storageProvisioner is Kubernetes' annotation on claims: who makes their volumes.
const storageProvisioner = "volume.kubernetes.io/storage-provisioner"

func newResize(s *session) *cobra.Command {
	var consent consent
	var template string
	command := &cobra.Command{
		Use:   "resize CLAIM|statefulset/NAME SIZE",
		Short: "Give a claim, or all claims of a StatefulSet and its template, more room",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			size, err := resource.ParseQuantity(args[1])
			if err != nil || size.Sign() <= 0 {
				return fmt.Errorf("%q is not a size: write one as 20Gi", args[1])
			}
			if kind, name, _ := strings.Cut(args[0], "/"); kind == "statefulset" || kind == "sts" {
				return s.resizeSet(command.Context(), name, template, size, &consent)
			}
			if template != "" {
				return fmt.Errorf("--template is for statefulset/NAME")
			}
			return s.resizeClaim(command.Context(), args[0], size, &consent)
		},
	}
	consent.addFlags(command.Flags())
	command.Flags().StringVar(&template, "template", "", "the StatefulSet's volumeClaimTemplate (default: the only one of hostdir)")
	return command
}

func (s *session) resizeClaim(ctx context.Context, arg string, size resource.Quantity, consent *consent) error {
	clients, err := s.client()
	if err != nil {
		return err
	}
	ref, err := s.claimRef(arg)
	if err != nil {
		return err
	}
	claim, err := clients.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	g, err := s.newGrowth(ctx, claim, size)
	if err != nil {
		return err
	}
	if g == nil {
		fmt.Fprintf(s.Out, "claim %s asks for %s already\n", ref, size.String())
		return nil
	}
	if err := s.need(ctx, patchClaims(ref.Namespace)); err != nil {
		return err
	}
	if err := s.room(ctx, []*growth{g}); err != nil {
		return err
	}
	if do, err := consent.ask(s, g.String()); !do {
		return err
	}
	return s.grow(ctx, g)
}

func patchClaims(namespace string) right {
	return right{"patch", "", "persistentvolumeclaims", namespace}
}

// growth is the size that a claim is to ask for.
type growth struct {
	claim *corev1.PersistentVolumeClaim
	// volume is nil if the person may not see it.
	volume *corev1.PersistentVolume
	size   resource.Quantity
}

func (g *growth) String() string {
	asks := g.claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return fmt.Sprintf("claim %s/%s: %s -> %s", g.claim.Namespace, g.claim.Name, asks.String(), g.size.String())
}

// newGrowth returns nil if the claim asks for the size already. What Kubernetes would
// refuse is refused here, in words.
func (s *session) newGrowth(ctx context.Context, c *corev1.PersistentVolumeClaim, size resource.Quantity) (*growth, error) {
	name := c.Namespace + "/" + c.Name
	if c.DeletionTimestamp != nil {
		return nil, wrong("claim %s is being deleted", name)
	}
	if c.Spec.VolumeName == "" || c.Status.Phase != corev1.ClaimBound {
		return nil, wrong("claim %s is %s: Kubernetes lets claims grow once they are bound; `kubectl hostdir why %s` says what it waits for", name, c.Status.Phase, name)
	}
	g := &growth{claim: c, size: size}
	var err error
	if g.volume, err = s.visibleVolume(ctx, c.Spec.VolumeName); err != nil {
		return nil, err
	}
	if g.volume != nil && !pv.Is(g.volume, s.driver) || g.volume == nil && c.Annotations[storageProvisioner] != s.driver {
		return nil, wrong("claim %s is not one of hostdir (%s)", name, s.driver)
	}
	asks, has := c.Spec.Resources.Requests[corev1.ResourceStorage], c.Status.Capacity[corev1.ResourceStorage]
	if asks.Cmp(size) == 0 {
		return nil, nil
	}
	// A request that was too large may be taken back, but not below what is there.
	if asks.Cmp(size) > 0 && has.Cmp(size) >= 0 {
		return nil, wrong("claim %s has %s: volumes do not shrink", name, has.String())
	}
	return g, s.mayGrow(ctx, c)
}

// visibleVolume returns nil if the person may not see PersistentVolumes.
func (s *session) visibleVolume(ctx context.Context, name string) (*corev1.PersistentVolume, error) {
	v, err := s.clients.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// mayGrow fails if the claim's class does not allow it. Who may not see classes leaves
// that to the API server.
func (s *session) mayGrow(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	name := ""
	if c.Spec.StorageClassName != nil {
		name = *c.Spec.StorageClassName
	}
	if name == "" {
		return wrong("claim %s/%s has no StorageClass: Kubernetes lets only claims grow whose class allows it", c.Namespace, c.Name)
	}
	class, err := s.clients.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return wrong("claim %s/%s is of StorageClass %s, which does not exist: Kubernetes lets only claims grow whose class allows it", c.Namespace, c.Name, name)
	case err != nil:
		return err
	case class.AllowVolumeExpansion == nil || !*class.AllowVolumeExpansion:
		return wrong("StorageClass %s does not let claims grow; whoever owns it can allow it:\n    kubectl patch storageclass %s -p '{\"allowVolumeExpansion\":true}'", name, name)
	}
	return nil
}

// room fails if a disk surely has less than the claims are to grow by. Where that cannot
// be asked the person is told so, and the node's plugin decides.
func (s *session) room(ctx context.Context, growths []*growth) error {
	more := map[string]map[string]int64{} // by node and disk
	for _, g := range growths {
		if g.volume == nil {
			continue
		}
		has := g.volume.Spec.Capacity[corev1.ResourceStorage]
		node, disk := pv.Node(g.volume, s.driver), pv.Disk(g.volume)
		if more[node] == nil {
			more[node] = map[string]int64{}
		}
		more[node][disk] += max(0, g.size.Value()-has.Value())
	}
	if len(more) == 0 {
		return nil
	}
	all, err := s.nodes(ctx)
	if err != nil {
		fmt.Fprintf(s.ErrOut, "Whether the disks have room was not looked at: %v\n", err)
		return nil
	}
	var asked []*node
	for _, n := range all {
		if more[n.name] != nil {
			asked = append(asked, n)
		}
	}
	answers := askAll(ctx, asked, patience, func(ctx context.Context, n *node) (admin.Disks, error) { return n.plugin.Disks(ctx) })
	var lacking []string
	for _, a := range answers {
		if a.err != nil {
			fmt.Fprintf(s.ErrOut, "Whether its disks have room was not looked at: %v\n", a.err)
		}
		for _, d := range a.value.Disks {
			if wants := more[a.node.name][d.UUID]; wants > d.AvailableBytes && d.UUID != "" {
				lacking = append(lacking, fmt.Sprintf("disk %s of node %s has %s for %s more: %s too little", d.Path, a.node.name,
					config.FormatSize(d.AvailableBytes), config.FormatSize(wants), config.FormatSize(wants-d.AvailableBytes)))
			}
		}
	}
	if len(lacking) > 0 {
		return wrong("there is no room, and nothing was done: %s", strings.Join(lacking, "; "))
	}
	return nil
}

// grow has the claim ask for the size, unless somebody has changed it since it was read.
func (s *session) grow(ctx context.Context, g *growth) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": g.claim.UID, "resourceVersion": g.claim.ResourceVersion},
		"spec":     map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": g.size.String()}}},
	})
	if err != nil {
		return err
	}
	_, err = s.clients.CoreV1().PersistentVolumeClaims(g.claim.Namespace).Patch(ctx, g.claim.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("claim %s/%s: %w", g.claim.Namespace, g.claim.Name, err)
	}
	fmt.Fprintln(s.Out, g)
	return nil
}
