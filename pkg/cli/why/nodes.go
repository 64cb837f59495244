package why

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/klog/v2"
)

// Which nodes a pod may run on, for all that the scheduler's own message does not say.

// nodeNames are the nodes that are known by any means.
func (w *World) nodeNames() (names []string) {
	for _, n := range w.Nodes {
		names = append(names, n.Name)
	}
	if len(names) > 0 {
		return names
	}
	for _, a := range w.Answers {
		names = append(names, a.Node)
	}
	for _, c := range w.Capacities {
		if c.NodeTopology != nil && c.NodeTopology.MatchLabels[w.Driver+"/node"] != "" {
			names = append(names, c.NodeTopology.MatchLabels[w.Driver+"/node"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// excludes returns why a pod cannot run on a node, "" if nothing is known against it.
func (w *World) excludes(p *corev1.Pod, node string) string {
	n := w.node(node)
	if n == nil {
		return ""
	}
	for key, value := range p.Spec.NodeSelector {
		if n.Labels[key] != value {
			return fmt.Sprintf("the pod's nodeSelector asks for %s=%s", key, value)
		}
	}
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		terms := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		if !slices.ContainsFunc(terms, func(t corev1.NodeSelectorTerm) bool { return selects(t, n) }) {
			return "the pod's nodeAffinity asks for another"
		}
	}
	if n.Spec.Unschedulable {
		return "it is cordoned"
	}
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !slices.ContainsFunc(p.Spec.Tolerations, func(tolerates corev1.Toleration) bool {
			return tolerates.ToleratesTaint(klog.Background(), t, true)
		}) {
			return "the pod does not tolerate its taint " + t.Key
		}
	}
	return ""
}

func selects(t corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions)+len(t.MatchFields) == 0 {
		return false
	}
	for _, e := range t.MatchExpressions {
		if !matches(e, n.Labels) {
			return false
		}
	}
	for _, e := range t.MatchFields {
		if !matches(e, labels.Set{"metadata.name": n.Name}) {
			return false
		}
	}
	return true
}

func matches(e corev1.NodeSelectorRequirement, has labels.Set) bool {
	operators := map[corev1.NodeSelectorOperator]selection.Operator{
		corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
		corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
		corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
	}
	r, err := labels.NewRequirement(e.Key, operators[e.Operator], e.Values)
	return err == nil && r.Matches(has)
}
