package why

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/controller/pod"
	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// What other claims of a pod have to do with it.

// tiedElsewhere: Kubernetes binds the claims of a pod one by one, and takes none back.
func tiedElsewhere(v *view) *finding {
	for _, p := range v.pods {
		if p.Spec.NodeName != "" {
			continue
		}
		tied := v.ties(p)
		if place := v.place(); v.isBound() && place != "" {
			tied[place] = v.Name
		}
		if len(tied) > 1 {
			f := &finding{
				says: fmt.Sprintf("claims of pod %s are on different nodes, so it can run on none", p.Name),
				next: fmt.Sprintf("delete the claim that holds nothing, or may lose it, and the pod: kubectl -n %s delete pvc CLAIM; kubectl -n %s delete pod %s", v.Namespace, v.Namespace, p.Name),
			}
			for node, claim := range tied {
				f.evidence = append(f.evidence, fmt.Sprintf("claim %s is on node %s", claim, node))
			}
			slices.Sort(f.evidence)
			return f
		}
		if v.isPending() && v.Origin == nil {
			if f := v.tiedTo(p, tied); f != nil {
				return f
			}
		}
	}
	return nil
}

// tiedTo holds where the one node that the pod is tied to has no room, and another has.
func (v *view) tiedTo(p *corev1.Pod, tied map[string]string) *finding {
	for node, claim := range tied {
		here := v.lookAt(node)
		if here.cause == "" {
			return nil
		}
		f := &finding{
			says:     fmt.Sprintf("claim %s of pod %s is on node %s, which cannot take this claim", claim, p.Name, node),
			evidence: []string{fmt.Sprintf("claim %s is bound on node %s", claim, node), here.String()},
			next: fmt.Sprintf("make room on node %s; or, if nothing is in %s yet, let the scheduler place both anew: kubectl -n %s delete pvc %s; kubectl -n %s delete pod %s",
				node, claim, v.Namespace, claim, v.Namespace, p.Name),
			likely: !here.sure,
		}
		for _, other := range v.nodeNames() {
			if is := v.lookAt(other); other != node && is.cause == "" && is.known && v.excludedBySelf(other) == "" {
				f.evidence = append(f.evidence, fmt.Sprintf("node %s has room for %s", other, config.FormatSize(is.room)))
			}
		}
		if len(f.evidence) == 2 {
			return nil // it would fit nowhere else
		}
		return f
	}
	return nil
}

// ties returns the nodes that other claims of a pod are bound to, each with a claim.
func (v *view) ties(p *corev1.Pod) map[string]string {
	tied := map[string]string{}
	names := pod.Claims(p)
	for _, c := range slices.Concat(v.Claims, v.Others) {
		if c.Name == v.Name || !slices.Contains(names, c.Name) || c.Object == nil || c.Volume == nil || c.Object.Spec.VolumeName == "" || !pv.Is(c.Volume, v.Driver) {
			continue
		}
		if node := pv.Node(c.Volume, v.Driver); node != "" {
			tied[node] = c.Name
		}
	}
	return tied
}
