package reuse

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A notice is an event that is told once.
type notice struct {
	about                      client.Object
	kind, reason, action, text string
}

func keptForNobody(v *corev1.PersistentVolume, namespace string) notice {
	return notice{v, corev1.EventTypeNormal, "ReuseEnded", "Release",
		fmt.Sprintf("namespace %s was deleted: the volume keeps its data and is reserved for nobody, also not for a new namespace of that name. To give it to a claim, or to delete it, see docs/reuse.md", namespace)}
}

func unguarded(v *corev1.PersistentVolume) notice {
	return notice{v, corev1.EventTypeWarning, "ReuseUnguarded", "Release",
		fmt.Sprintf("the volume keeps its data, but is not reserved for its claim: without the ValidatingAdmissionPolicy %s and its binding, others could get it. Install them with hostdir's chart", PolicyName)}
}

func unknownNamespace(v *corev1.PersistentVolume) notice {
	return notice{v, corev1.EventTypeNormal, "ReuseUnknown", "Release",
		fmt.Sprintf("the volume keeps its data, but is not reserved: nothing proves that its claim was in the namespace %s of today. To give it to a claim, see docs/reuse.md", v.Spec.ClaimRef.Namespace)}
}

func superseded(old, by *corev1.PersistentVolume) notice {
	return notice{old, corev1.EventTypeNormal, "ReuseSuperseded", "Release",
		fmt.Sprintf("the volume keeps its data, but is not reserved: claim %s has %s. To exchange them, see docs/reuse.md", claimOf(old), by.Name)}
}

func refusedClaim(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) notice {
	return notice{c, corev1.EventTypeWarning, "ReuseRefused", "Bind",
		fmt.Sprintf("volume %s was reserved for this claim in a namespace of the same name that was deleted; this one gets a new volume", v.Name)}
}

func mismatched(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume, reasons []string) notice {
	do := "delete the claim and make it again to match; a request can be raised once the claim is bound"
	if c.Spec.VolumeName != "" {
		do = fmt.Sprintf("kubectl -n %s annotate pvc %s %s=%s, delete the claim and make it again to match, or its volume %s stays reserved in place of this one; a request can be raised once the claim is bound", c.Namespace, c.Name, keepAnnotation, v.Name, c.Spec.VolumeName)
	}
	return notice{c, corev1.EventTypeWarning, "ReuseMismatch", "Bind",
		fmt.Sprintf("volume %s has the data of the former claim %s, and this claim does not get it: %s. To get it: %s", v.Name, c.Name, strings.Join(reasons, "; "), do)}
}

// teller tells each notice once, as far as it remembers.
type teller struct {
	recorder events.EventRecorder

	mu   sync.Mutex
	told map[told]struct{}
}

type told struct {
	about        types.UID
	reason, text string
}

// maxText is what an event may say, in bytes.
const maxText = 1024

// toldLimit bounds what is remembered; from there on things may be told again.
const toldLimit = 10000

func (t *teller) tell(all []notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range all {
		if len(n.text) > maxText {
			n.text = n.text[:maxText-3] + "..."
		}
		k := told{n.about.GetUID(), n.reason, n.text}
		if _, ok := t.told[k]; ok {
			continue
		}
		if t.told == nil || len(t.told) >= toldLimit {
			t.told = map[told]struct{}{}
		}
		t.told[k] = struct{}{}
		noticed.WithLabelValues(n.reason).Inc()
		t.recorder.Eventf(n.about, nil, n.kind, n.reason, n.action, "%s", n.text)
	}
}
