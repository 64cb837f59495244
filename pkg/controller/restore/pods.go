package restore

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/hostdir/hostdir/pkg/controller/pod"
)

// place is where a claim is tied to, other than the one that is asked about.
type place struct {
	claim string
	// volume is what it is bound to, nil if it is not.
	volume *corev1.PersistentVolume
	// node is the node that is to make its volume.
	node string
}

// whyNot returns why a pod cannot run on a node, as far as this is for ever: what is
// written in the pod, and where its other claims are. Room and taints come and go.
func whyNot(p *corev1.Pod, node *metav1.PartialObjectMetadata, others []place) (why []string) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels}}
	if p.Spec.NodeName != "" && p.Spec.NodeName != node.Name {
		why = append(why, "its nodeName is "+p.Spec.NodeName)
	}
	if fits, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(n); err == nil && !fits {
		why = append(why, "its nodeSelector or node affinity excludes it")
	}
	for _, o := range others {
		switch {
		case o.volume == nil:
			if o.node != "" && o.node != node.Name {
				why = append(why, fmt.Sprintf("node %s makes the volume of its claim %s", o.node, o.claim))
			}
		case o.volume.Spec.NodeAffinity != nil && o.volume.Spec.NodeAffinity.Required != nil:
			selector, err := nodeaffinity.NewNodeSelector(o.volume.Spec.NodeAffinity.Required)
			if err == nil && !selector.Match(n) {
				why = append(why, fmt.Sprintf("the volume of its claim %s is not there", o.claim))
			}
		}
	}
	return why
}

// claimsOf returns the names of the claims that a pod uses, or waits for.
func claimsOf(p *corev1.Pod) []string {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	return pod.Claims(p)
}
