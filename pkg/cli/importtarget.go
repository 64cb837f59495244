package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

// toImport is a PersistentVolume that is to become hostdir's, is on the way, or is.
type toImport struct {
	name string // of the PersistentVolume
	// volume is as the API server has it, nil while it has none of this name.
	volume *corev1.PersistentVolume
	// old is as it was before, nil if that is not known.
	old   *corev1.PersistentVolume
	claim *corev1.PersistentVolumeClaim
	node  *node
	// begun is what its node says of it, nil if it has nothing.
	begun *admin.Import
}

// source is the directory of a hostPath or local volume, "" of another one.
func source(v *corev1.PersistentVolume) string {
	switch {
	case v == nil:
		return ""
	case v.Spec.HostPath != nil:
		return path.Clean(v.Spec.HostPath.Path)
	case v.Spec.Local != nil:
		return path.Clean(v.Spec.Local.Path)
	}
	return ""
}

// volumesToImport returns the names of the PersistentVolumes that the arguments mean.
func (im *importer) volumesToImport(ctx context.Context, args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		kind, name, _ := strings.Cut(arg, "/")
		switch kind {
		case "pv", "persistentvolume", "persistentvolumes":
			names = append(names, name)
		case "statefulset", "statefulsets", "sts":
			found, err := im.ofStatefulSet(ctx, name)
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		default:
			return nil, fmt.Errorf("%q is neither pv/NAME nor statefulset/NAME", arg)
		}
	}
	if im.selector != "" {
		claims, err := im.clients.CoreV1().PersistentVolumeClaims(im.namespace).List(ctx, metav1.ListOptions{LabelSelector: im.selector})
		if err != nil {
			return nil, err
		}
		found, err := volumesOf(claims.Items)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return nil, errors.New("there is no such claim with a volume")
	}
	return names, nil
}

// ofStatefulSet returns the volumes of all claims of its templates, also of replicas that
// it does not have now.
func (im *importer) ofStatefulSet(ctx context.Context, name string) ([]string, error) {
	set, err := im.clients.AppsV1().StatefulSets(im.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	all, err := im.clients.CoreV1().PersistentVolumeClaims(im.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var own []corev1.PersistentVolumeClaim
	for _, template := range set.Spec.VolumeClaimTemplates {
		pattern := regexp.MustCompile("^" + regexp.QuoteMeta(template.Name+"-"+name) + "-[0-9]+$")
		for _, claim := range all.Items {
			if pattern.MatchString(claim.Name) {
				own = append(own, claim)
			}
		}
	}
	return volumesOf(own)
}

func volumesOf(claims []corev1.PersistentVolumeClaim) ([]string, error) {
	var names []string
	for _, claim := range claims {
		if claim.Spec.VolumeName == "" {
			return nil, fmt.Errorf("claim %s/%s has no volume yet", claim.Namespace, claim.Name)
		}
		names = append(names, claim.Spec.VolumeName)
	}
	return names, nil
}

// look finds out what there is of each volume, in the API and on the nodes.
func (im *importer) look(ctx context.Context, names []string) ([]*toImport, error) {
	nodes, err := im.s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	answers := askAll(ctx, nodes, patience, func(ctx context.Context, n *node) (admin.Imports, error) { return n.plugin.Imports(ctx) })
	if err := unanswered(answers); err != nil {
		return nil, fmt.Errorf("what was imported already is not known: %w", err)
	}
	var all []*toImport
	for _, name := range names {
		t := &toImport{name: name}
		for _, a := range answers {
			for i, begun := range a.value.Imports {
				if begun.PersistentVolume == name {
					t.node, t.begun = a.node, &a.value.Imports[i]
				}
			}
		}
		if t.volume, err = im.volume(ctx, name); err != nil {
			return nil, err
		}
		if t.old, err = t.before(); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// volume returns nil if there is none of this name.
func (im *importer) volume(ctx context.Context, name string) (*corev1.PersistentVolume, error) {
	v, err := im.clients.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return v, err
}

// before returns the PersistentVolume as it was before: what its node has kept, or what
// is there still.
func (t *toImport) before() (*corev1.PersistentVolume, error) {
	switch {
	case t.begun != nil && len(t.begun.Old) > 0:
		old := new(corev1.PersistentVolume)
		if err := json.Unmarshal(t.begun.Old, old); err != nil {
			return nil, fmt.Errorf("what node %s has kept of PersistentVolume %s cannot be read: %w", t.node.name, t.name, err)
		}
		return old, nil
	case source(t.volume) != "":
		return withPolicyBefore(t.volume), nil
	}
	return nil, nil
}

// findClaim finds the claim that the old volume is bound to.
func (im *importer) findClaim(ctx context.Context, t *toImport) error {
	ref := t.old.Spec.ClaimRef
	if ref == nil {
		return errors.New("it belongs to no claim: bind one to it first, with volumeName in the claim or claimRef in the PersistentVolume")
	}
	claim, err := im.clients.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && ref.UID == "":
		return fmt.Errorf("it is reserved for claim %s/%s, which does not exist yet: import it once that is bound", ref.Namespace, ref.Name)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("its claim %s/%s was deleted: make it again with volumeName: %s, and take uid out of the PersistentVolume's claimRef, or its data stays without a claim", ref.Namespace, ref.Name, t.name)
	case err != nil:
		return err
	case ref.UID != "" && ref.UID != claim.UID:
		return fmt.Errorf("it belonged to another claim %s/%s than the one that is there now: take uid out of the PersistentVolume's claimRef if this one is to have the data", ref.Namespace, ref.Name)
	case claim.Spec.VolumeName != t.name:
		return fmt.Errorf("its claim %s/%s is not bound to it (volumeName is %q)", ref.Namespace, ref.Name, claim.Spec.VolumeName)
	case claim.DeletionTimestamp != nil:
		return fmt.Errorf("its claim %s/%s is being deleted", ref.Namespace, ref.Name)
	}
	t.claim = claim
	return nil
}

// findNode finds the node that has the directory.
func (im *importer) findNode(ctx context.Context, t *toImport) error {
	if t.node != nil {
		return nil
	}
	name := im.node
	if affinity := t.old.Spec.NodeAffinity; affinity != nil && affinity.Required != nil {
		nodes, err := im.clients.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var fit []string
		for _, n := range nodes.Items {
			ok, err := matches(affinity.Required, &n)
			if err != nil {
				return err
			}
			if ok && (im.node == "" || im.node == n.Name) {
				fit = append(fit, n.Name)
			}
		}
		if len(fit) != 1 {
			return fmt.Errorf("its nodeAffinity fits %d nodes (%s), and a directory is on one: name that with --node", len(fit), strings.Join(fit, ", "))
		}
		name = fit[0]
	}
	if name == "" {
		return errors.New("it has no nodeAffinity, so nobody knows which node has its directory: name that with --node")
	}
	n, err := im.s.node(ctx, name)
	t.node = n
	return err
}

// matches reports whether a node fits one of the terms of hand-written and provisioned
// local volumes: names and labels that it must have.
func matches(selector *corev1.NodeSelector, n *corev1.Node) (bool, error) {
	for _, term := range selector.NodeSelectorTerms {
		fits := len(term.MatchExpressions)+len(term.MatchFields) > 0
		for _, r := range slices.Concat(term.MatchExpressions, term.MatchFields) {
			if r.Operator != corev1.NodeSelectorOpIn {
				return false, fmt.Errorf("its nodeAffinity has the operator %s, and only In is understood: name the node with --node, and write In", r.Operator)
			}
			value, there := n.Labels[r.Key]
			if r.Key == metav1.ObjectNameField {
				value, there = n.Name, true
			}
			fits = fits && there && slices.Contains(r.Values, value)
		}
		if fits {
			return true, nil
		}
	}
	return false, nil
}

// checkUnused refuses a claim that a pod uses, and a directory that one mounts by itself.
func (im *importer) checkUnused(ctx context.Context, t *toImport) error {
	if err := im.s.checkNoPod(ctx, nameOf(t.claim)); err != nil {
		return err
	}
	pods, err := im.clients.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + t.node.name})
	if apierrors.IsForbidden(err) {
		fmt.Fprintf(im.s.ErrOut, "whether a pod of another namespace has %s mounted cannot be seen: %v\n", source(t.old), err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, v := range pod.Spec.Volumes {
			if v.HostPath != nil && isAlive(&pod) && within(path.Clean(v.HostPath.Path), source(t.old)) {
				return fmt.Errorf("pod %s/%s has %s mounted", pod.Namespace, pod.Name, v.HostPath.Path)
			}
		}
	}
	return nil
}

func isAlive(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// within reports whether a path is another one or lies beneath it.
func within(name, other string) bool { return name == other || strings.HasPrefix(name, other+"/") }

// checkAlone refuses a directory that another PersistentVolume shows as well, or a part
// of it, on the same node.
func (im *importer) checkAlone(t *toImport, all []corev1.PersistentVolume, on *corev1.Node) error {
	for _, other := range all {
		from := source(&other)
		if other.Name == t.name || from == "" || !within(from, source(t.old)) && !within(source(t.old), from) {
			continue
		}
		if affinity := other.Spec.NodeAffinity; affinity != nil && affinity.Required != nil {
			if here, err := matches(affinity.Required, on); err == nil && !here {
				continue
			}
		}
		return fmt.Errorf("PersistentVolume %s shows %s: two volumes must not share a directory", other.Name, from)
	}
	return nil
}
