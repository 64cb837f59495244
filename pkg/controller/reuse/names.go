package reuse

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// Finalizer keeps a claim that is being deleted until its volume is reserved.
	Finalizer = "csi.hostdir.io/reuse"
	// claimAnnotation is the name of the claim that a twin is for. That in claimRef
	// is another one for a moment, see park.
	claimAnnotation = "csi.hostdir.io/reuse-claim"
	// twinLabel is on all twins: an admission policy reads them by it.
	twinLabel = "csi.hostdir.io/reuse"
	// keepAnnotation on a claim names the reserved volume that stays reserved, in
	// place of the claim's own, when the claim is deleted.
	keepAnnotation = "csi.hostdir.io/reuse-volume"
	// PolicyName is that of the ValidatingAdmissionPolicy, and its binding, without
	// which nothing is reserved: it keeps a twin from the claims of other namespaces.
	PolicyName = "hostdir-reuse"
)

// twinName is the name of a reserved volume. It says for which namespace, of all that
// have had that name, so that an admission policy can tell, and which claim. Each time
// that the volume is reserved anew it has the next round.
type twinName struct {
	namespace types.UID
	claim     string // a hash
	round     int
}

var twinPattern = regexp.MustCompile(`^reuse-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-([0-9a-f]{16})(?:-([1-9][0-9]{0,8}))?$`)

func parseTwin(name string) (t twinName, ok bool) {
	match := twinPattern.FindStringSubmatch(name)
	if match == nil {
		return twinName{}, false
	}
	round, _ := strconv.Atoi(match[3])
	return twinName{types.UID(match[1]), match[2], round}, true
}

func (t twinName) String() string {
	name := "reuse-" + string(t.namespace) + "-" + t.claim
	if t.round > 0 {
		name += "-" + strconv.Itoa(t.round)
	}
	return name
}

func hash(claim string) string {
	sum := sha256.Sum256([]byte(claim))
	return hex.EncodeToString(sum[:8])
}

// twinOf returns what a PersistentVolume's name says if it is a twin, which its
// annotation has to confirm.
func twinOf(v *corev1.PersistentVolume) (twinName, bool) {
	t, ok := parseTwin(v.Name)
	return t, ok && t.claim == hash(v.Annotations[claimAnnotation])
}

// claimOf is the claim that a volume belongs to, whether that exists or not.
func claimOf(v *corev1.PersistentVolume) types.NamespacedName {
	ref := v.Spec.ClaimRef
	if ref == nil {
		return types.NamespacedName{}
	}
	if _, ok := twinOf(v); ok {
		return types.NamespacedName{Namespace: ref.Namespace, Name: v.Annotations[claimAnnotation]}
	}
	return types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
}

// next returns the name of the first twin to try for a volume.
func next(v *corev1.PersistentVolume, namespace types.UID, claim string) twinName {
	t := twinName{namespace: namespace, claim: hash(claim)}
	if old, ok := twinOf(v); ok && old.namespace == t.namespace && old.claim == t.claim {
		t.round = old.round + 1
	}
	return t
}

// replaces reports whether v is a twin that was made of old, or of a twin of it: the
// same directory, a later round.
func replaces(v, old *corev1.PersistentVolume) bool {
	newer, ok := twinOf(v)
	if !ok || v.UID == old.UID || v.Spec.CSI.VolumeHandle != old.Spec.CSI.VolumeHandle {
		return false
	}
	if _, ok := parseTwin(old.Name); !ok {
		return true
	}
	older, ok := twinOf(old)
	return ok && older.namespace == newer.namespace && older.claim == newer.claim && older.round < newer.round
}
