package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/cli/why"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// claimView is a claim and what belongs to it, as far as it could be looked at.
type claimView struct {
	volume
	object *corev1.PersistentVolumeClaim
	// pv is nil if there is none, or it may not be seen.
	pv   *corev1.PersistentVolume
	pods []corev1.Pod
	// record is what the node knows, nil if it could not be asked or has it not.
	record *admin.Volume
	// snapshots are those of the volume, and began is what it began as a copy of: what
	// people call it, or else its ID; "" if it began empty.
	snapshots []nodeSnapshot
	began     string
	unseen    unseen
}

// claimView looks at a claim in the API server. An error says that there is none, or that it is not
// hostdir's.
func (s *session) claimView(ctx context.Context, ref types.NamespacedName) (*claimView, error) {
	clients, err := s.client()
	if err != nil {
		return nil, err
	}
	object, err := clients.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no claim %s; kubectl hostdir volumes -A also shows volumes that claims have left", ref)
	}
	if err != nil {
		return nil, err
	}
	if of := claimOf(object).driver; of != "" && of != s.driver {
		return nil, fmt.Errorf("claim %s is not hostdir's: its volumes are made by %s", ref, of)
	}
	c := &claimView{object: object}
	if c.pv, err = s.volumeOfClaim(ctx, object); err != nil {
		c.unseen.add("PersistentVolume "+object.Spec.VolumeName, err)
	}
	if c.pv != nil && !pv.Is(c.pv, s.driver) {
		return nil, fmt.Errorf("claim %s is not hostdir's: its volume %s is of another driver", ref, c.pv.Name)
	}
	c.unseen.add("pods", each(ctx, pages(clients.CoreV1().Pods(ref.Namespace).List), func(p *corev1.Pod) {
		if why.Uses(p, ref.Name) {
			c.pods = append(c.pods, *p)
		}
	}))
	c.volume = c.known(s.driver)
	return c, ctx.Err()
}

// volumeOfClaim returns nil if there is none.
func (s *session) volumeOfClaim(ctx context.Context, c *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, error) {
	if c.Spec.VolumeName == "" {
		return nil, nil
	}
	v, err := s.clients.CoreV1().PersistentVolumes().Get(ctx, c.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// known is what the API server knows.
func (c *claimView) known(driver string) volume {
	of := claimOf(c.object)
	k := &kubeView{claims: map[types.NamespacedName]claim{of.NamespacedName: of}, pods: map[types.NamespacedName][]podUse{}, seen: c.pv != nil}
	if c.pv != nil {
		k.volumes = []*volume{volumeOf(c.pv, driver)}
	}
	for _, p := range c.pods {
		k.pods[of.NamespacedName] = append(k.pods[of.NamespacedName], podUse{p.Name, p.Spec.NodeName})
	}
	for _, v := range k.join(driver) {
		return *v
	}
	return volume{Namespace: of.Namespace, Claim: of.Name, Status: string(of.phase), SizeBytes: of.size, Node: of.node, Created: &of.created}
}

// ask asks the volume's node, if there is a volume.
func (c *claimView) ask(ctx context.Context, s *session) {
	if c.object.Spec.VolumeName == "" {
		return
	}
	if c.Node == "" {
		c.unseen.add("the volume's directory", errors.New("it is not known which node has it"))
		return
	}
	n, err := s.node(ctx, c.Node)
	if err != nil {
		c.unseen.add("hostdir on the nodes", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	volumes, err := n.plugin.Volumes(ctx)
	s.warnVersions([]*node{n})
	if err != nil {
		c.unseen.add("hostdir on node "+c.Node, err)
		return
	}
	for _, of := range volumes.Volumes {
		if c.ID != "" && of.ID == c.ID || c.ID == "" && of.Name == c.PersistentVolume {
			c.record = &of
			c.ID = of.ID
			c.add(c.Node, of)
			c.askCopies(ctx, n, volumes)
			return
		}
	}
	c.unseen.add("the volume's directory", fmt.Errorf("node %s does not have volume %s now; kubectl hostdir why %s says more", c.Node, cmp.Or(c.ID, c.PersistentVolume), c.name()))
}

// askCopies asks for the volume's snapshots, and for what it began as a copy of.
func (c *claimView) askCopies(ctx context.Context, n *node, volumes admin.Volumes) {
	if c.record.Snapshots == 0 && c.record.Source == "" {
		return
	}
	snapshots, err := n.plugin.Snapshots(ctx)
	if err != nil {
		c.unseen.add("snapshots on node "+c.Node, err)
	}
	c.began = c.record.Source
	for _, each := range snapshots.Snapshots {
		if each.SourceVolume == c.ID {
			c.snapshots = append(c.snapshots, nodeSnapshot{c.Node, each})
		}
		if each.ID == c.record.Source && each.VolumeSnapshot != nil {
			c.began = fmt.Sprintf("snapshot %s (%s)", each, each.ID)
		}
	}
	for _, of := range volumes.Volumes {
		if of.ID == c.record.Source && of.Claim != nil {
			c.began = fmt.Sprintf("claim %s (%s)", of.Claim, of.ID)
		}
	}
}
