package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

func newGiveUp(s *session) *cobra.Command {
	var consent consent
	var out output
	command := &cobra.Command{
		Use:   "give-up NODE",
		Short: "Say that a node is gone for good: hostdir-controller does what onNodeLoss says of its volumes",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.giveUp(command.Context(), args[0], &consent, &out)
		},
	}
	consent.addFlags(command.Flags())
	out.addFlags(command.Flags())
	return command
}

// lostVolume is one of a node that is given up.
type lostVolume struct {
	Volume string `json:"volume"`
	Claim  string `json:"claim,omitempty"`
	Policy string `json:"policy"`
	// Effect is what hostdir-controller is going to do.
	Effect string `json:"effect"`

	object *corev1.PersistentVolume
}

// giveUp says of all volumes of the node that they are lost. hostdir-controller takes
// the word back if the node's plugin has their disk after all.
func (s *session) giveUp(ctx context.Context, name string, consent *consent, out *output) error {
	clients, err := s.client()
	if err != nil {
		return err
	}
	node, err := clients.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	there := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	label := name
	if there {
		label = cmp.Or(node.Labels[s.driver+"/node"], name)
		if isNodeReady(node) {
			return wrong("node %s is Ready: it is not lost. If only a disk of it is broken, say so of its volumes: docs/how-to/node-loss.md", name)
		}
	}
	all, err := s.lostVolumes(ctx, label)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		if !there {
			return fmt.Errorf("there is no node %s, and no PersistentVolume of hostdir that is on it", name)
		}
		fmt.Fprintf(s.Out, "no PersistentVolume of hostdir is on node %s\n", name)
		return nil
	}
	if err := s.need(ctx, right{verb: "patch", resource: "persistentvolumes"}); err != nil {
		return err
	}
	if err := out.print(s.Out, all, func() rows { return lostRows(all) }); err != nil {
		return err
	}
	plan := fmt.Sprintf("All volumes of node %s, in the table, are given up: what is in the last column is done. Nothing is deleted on any disk.", name)
	if there {
		plan += "\nThe Node object is there. Its plugin is asked for a minute: volumes of disks that it has are not given up."
	}
	if do, err := consent.ask(s, plan); !do {
		return err
	}
	word := fmt.Sprintf("%s, %s", s.who(ctx), time.Now().UTC().Format(time.RFC3339))
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{pv.GiveUpAnnotation: word}}})
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.object.Annotations[pv.GiveUpAnnotation] != "" {
			continue
		}
		_, err := clients.CoreV1().PersistentVolumes().Patch(ctx, l.Volume, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	fmt.Fprintf(s.ErrOut, "%d volumes of node %s are given up; events on the claims tell what is done\n", len(all), name)
	return nil
}

func isNodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// who is the person, as the API server knows it.
func (s *session) who(ctx context.Context) string {
	me, err := s.clients.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err == nil && me.Status.UserInfo.Username != "" {
		return me.Status.UserInfo.Username
	}
	return cmp.Or(os.Getenv("USER"), "somebody")
}

func (s *session) lostVolumes(ctx context.Context, node string) ([]lostVolume, error) {
	volumes, err := s.clients.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := []lostVolume{}
	for i := range volumes.Items {
		v := &volumes.Items[i]
		if !pv.Is(v, s.driver) || pv.Node(v, s.driver) != node {
			continue
		}
		claim, err := s.livingClaim(ctx, v)
		if err != nil {
			return nil, err
		}
		policy, err := pv.WantedOnNodeLoss(v, claim)
		l := lostVolume{Volume: v.Name, Policy: cmp.Or(string(policy), "keep"), Effect: onLoss(v, claim, policy, err), object: v}
		if ref := v.Spec.ClaimRef; ref != nil {
			l.Claim = ref.Namespace + "/" + ref.Name
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b lostVolume) int {
		return cmp.Or(strings.Compare(a.Claim, b.Claim), strings.Compare(a.Volume, b.Volume))
	})
	return all, nil
}

// livingClaim returns the claim that a volume is taken for, nil if that is gone.
func (s *session) livingClaim(ctx context.Context, v *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, error) {
	ref := v.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return nil, nil
	}
	claim, err := s.clients.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && claim.UID != ref.UID {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// onLoss says in words what hostdir-controller does with a lost volume.
func onLoss(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim, policy config.NodeLossPolicy, unreadable error) string {
	phase := v.Status.Phase
	unused := phase == corev1.VolumeReleased || phase == corev1.VolumeFailed || v.DeletionTimestamp != nil && phase != corev1.VolumeBound
	switch {
	case unreadable != nil:
		return "nothing, until the annotation " + pv.NodeLossAnnotation + " is keep, release or recreate"
	case policy == config.NodeLossKeep && claim != nil:
		return fmt.Sprintf("nothing: it stays, unless you say otherwise: kubectl -n %s annotate pvc %s %s=recreate", claim.Namespace, claim.Name, pv.NodeLossAnnotation)
	case policy == config.NodeLossKeep:
		return fmt.Sprintf("nothing: it stays, unless you say otherwise: kubectl annotate pv %s %s=release", v.Name, pv.NodeLossAnnotation)
	case claim == nil && unused:
		return "the PersistentVolume goes"
	case policy == config.NodeLossRecreate && claim != nil:
		return "the claim is deleted once a pod of its StatefulSet waits for it, and made anew, empty, elsewhere; the PersistentVolume goes"
	}
	return "nothing: it is in use, or reserved"
}

func lostRows(all []lostVolume) rows {
	r := rows{header: []string{"CLAIM", "VOLUME", "POLICY", "WHAT-IS-DONE"}}
	for _, l := range all {
		r.cells = append(r.cells, []string{l.Claim, l.Volume, l.Policy, l.Effect})
		r.names = append(r.names, l.Volume)
	}
	return r
}
