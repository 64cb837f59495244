package reuse

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/hostdir/hostdir/pkg/controller/notice"
)

// world is what there is about one claim's name.
type world struct {
	key   types.NamespacedName
	claim *corev1.PersistentVolumeClaim // nil if there is none
	// volumes are those of the driver, with `reuse: same-claim`, that say they are
	// for the claim.
	volumes   []*corev1.PersistentVolume
	namespace *namespace // nil if there is none

	// live is set once claim and namespace are what the API server says and not
	// what the cache does. The namespace was asked first: the claim, if there is one,
	// is therefore in no other of that name.
	live bool
	// guarded says whether the admission policy is there. Only with live.
	guarded bool
}

type namespace struct {
	uid             types.UID
	resourceVersion string
	terminating     bool
}

// action is the next thing to do.
type action int

const (
	nothing action = iota
	look           // ask the API server
	hold           // put the finalizer on the claim
	letGo          // take it off
	reserve        // make a twin of the volume
	again          // reserve a Released twin again, under its name
	release        // make a reservation nobody's: Released, as after any deleted claim
	park           // take a reservation from a claim that was refused it, on the way to release
	remove         // delete the PersistentVolume that a twin has replaced
)

type step struct {
	do     action
	volume *corev1.PersistentVolume
	// twin replaces volume. Only with remove.
	twin *corev1.PersistentVolume
}

// decide returns the next step, and what people should know. It is called again after
// each step with what that has changed, until there is nothing to do. Whatever destroys
// or gives away something waits for a live view.
//
// The order is that of safety: reservations that must not be go first; then the claim's
// finalizer, before which its volume is reserved; then what is left over.
func decide(w *world) (step, []notice.Notice) {
	for _, v := range w.volumes {
		if s := w.revoke(v); s.do != nothing {
			return w.sure(s), w.refused(v)
		}
	}
	if s, notices := w.claimStep(); s.do != nothing {
		return s, notices
	}
	for _, v := range w.volumes {
		if w.state(v) != dead || v.DeletionTimestamp != nil || v.Status.Phase != corev1.VolumeReleased || !retained(v) {
			continue
		}
		if twin := w.replacement(v); twin != nil {
			return w.sure(step{remove, v, twin}), nil
		}
	}
	if s, notices := w.left(); s.do != nothing || notices != nil {
		return s, notices
	}
	return w.mismatch()
}

// sure lets a step wait until the view is live.
func (w *world) sure(s step) step {
	if !w.live {
		return step{do: look}
	}
	return s
}

// state is how a volume and the claim stand to each other.
type state int

const (
	reserved state = iota // for whichever claim comes with the name
	binding               // taken for the claim, which does not say so yet
	bound
	elsewhere // taken for the claim, which is bound to another volume: the binder gives it back
	dead      // its claim is gone
)

func (w *world) state(v *corev1.PersistentVolume) state {
	ref := v.Spec.ClaimRef
	switch {
	case ref.UID == "":
		return reserved
	case w.claim == nil || w.claim.UID != ref.UID:
		return dead
	case w.claim.Spec.VolumeName == v.Name:
		return bound
	case w.claim.Spec.VolumeName == "":
		return binding
	}
	return elsewhere
}

// alive reports whether the namespace is there, and stays.
func (w *world) alive() bool { return w.namespace != nil && !w.namespace.terminating }

// mine reports whether a volume is a twin for this very namespace.
func (w *world) mine(v *corev1.PersistentVolume) bool {
	t, ok := twinOf(v)
	return ok && w.namespace != nil && t.namespace == w.namespace.uid
}

// reservations are the twins that wait for a claim of this very namespace.
func (w *world) reservations() (found []*corev1.PersistentVolume) {
	for _, v := range w.volumes {
		if s := w.state(v); w.mine(v) && (s == reserved || s == elsewhere) && v.DeletionTimestamp == nil {
			found = append(found, v)
		}
	}
	return found
}

// twin returns the volume that is kept for the name, or was before it was bound.
func (w *world) twin() *corev1.PersistentVolume {
	for _, v := range w.volumes {
		if w.mine(v) && w.state(v) != dead && v.DeletionTimestamp == nil {
			return v
		}
	}
	return nil
}

// replacement returns the twin by which a volume is replaced, nil if there is none.
func (w *world) replacement(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	for _, twin := range w.volumes {
		if replaces(twin, v) && twin.DeletionTimestamp == nil && retained(twin) {
			return twin
		}
	}
	return nil
}

// revoke says how a reservation ends that must not be.
func (w *world) revoke(v *corev1.PersistentVolume) step {
	s := w.state(v)
	if _, ok := twinOf(v); !ok {
		// It was made for the claim, which is bound to its own volume, and the binder
		// gave it back; or somebody reserved it by hand, as well.
		if s == reserved && v.DeletionTimestamp == nil && w.twin() != nil {
			return step{do: release, volume: v}
		}
		return step{}
	}
	if s != reserved && s != binding {
		return step{}
	}
	switch {
	case s == reserved && isParked(v):
	case !w.alive() || !w.mine(v):
	case s == reserved && !retained(v): // somebody wants to be rid of it
	case s == reserved && w.replacement(v) != nil:
	default:
		return step{}
	}
	if s == binding {
		return step{do: park, volume: v}
	}
	return step{do: release, volume: v}
}

// claimStep says what to do about the claim itself.
func (w *world) claimStep() (step, []notice.Notice) {
	c := w.claim
	if c == nil {
		return step{}, nil
	}
	v := w.boundVolume()
	held := slices.Contains(c.Finalizers, Finalizer)
	if c.DeletionTimestamp == nil {
		if v != nil && retained(v) && !held {
			return step{do: hold}, nil
		}
		return step{}, nil
	}
	if !held || slices.Contains(c.Finalizers, pvcProtection) {
		return step{}, nil
	}
	if !w.live {
		return step{do: look}, nil
	}
	switch {
	case v == nil || !retained(v):
		return step{do: letGo}, nil
	case !w.alive():
		return step{do: letGo}, []notice.Notice{keptForNobody(v, c.Namespace)}
	case !w.guarded:
		return step{do: letGo}, []notice.Notice{unguarded(v)}
	}
	for _, other := range w.reservations() {
		switch {
		case replaces(other, v) && other.Status.Phase != corev1.VolumeAvailable:
			// The binder has not seen it. A claim that came now would wait until
			// it looks at all claims again.
			return step{}, nil
		case replaces(other, v):
			return step{do: letGo}, nil
		case other.Name == c.Annotations[keepAnnotation]:
			return step{do: letGo}, []notice.Notice{superseded(v, other)}
		}
	}
	if twin := w.replacement(v); twin != nil && w.mine(twin) {
		return step{do: again, volume: twin}, nil
	}
	for _, other := range w.reservations() {
		return step{do: release, volume: other}, []notice.Notice{superseded(other, v)}
	}
	return step{do: reserve, volume: v}, nil
}

func (w *world) boundVolume() *corev1.PersistentVolume {
	for _, v := range w.volumes {
		if w.state(v) == bound {
			return v
		}
	}
	return nil
}

// left reserves the volume of a claim that was gone before it was held. Its namespace is
// known to be the present one by the twin's name, or by the order of writes.
func (w *world) left() (step, []notice.Notice) {
	var candidates []*corev1.PersistentVolume
	for _, v := range w.volumes {
		if w.state(v) == dead && retained(v) && v.DeletionTimestamp == nil && v.Status.Phase == corev1.VolumeReleased && w.replacement(v) == nil {
			candidates = append(candidates, v)
		}
	}
	if len(candidates) == 0 || w.claim != nil && w.claim.DeletionTimestamp != nil {
		return step{}, nil
	}
	if !w.live {
		return step{do: look}, nil
	}
	if !w.alive() {
		return step{}, nil
	}
	var notices []notice.Notice
	candidates = slices.DeleteFunc(candidates, func(v *corev1.PersistentVolume) bool {
		if w.wasHere(v) {
			return false
		}
		if _, ok := twinOf(v); !ok { // of a twin it was told when its namespace went
			notices = append(notices, unknownNamespace(v))
		}
		return true
	})
	if len(candidates) == 0 {
		return step{}, notices
	}
	newest := slices.MaxFunc(candidates, func(a, b *corev1.PersistentVolume) int {
		if n := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, v := range w.volumes {
		if s := w.state(v); s == bound || s == binding || s == reserved && w.mine(v) && v.DeletionTimestamp == nil {
			return step{}, append(notices, superseded(newest, v))
		}
	}
	if w.claim != nil && w.claim.Spec.VolumeName != "" {
		return step{}, notices
	}
	if !w.guarded {
		return step{}, append(notices, unguarded(newest))
	}
	if w.mine(newest) {
		return step{do: again, volume: newest}, notices
	}
	return step{do: reserve, volume: newest}, notices
}

// wasHere reports whether the volume's claim, which is gone, was in the namespace that
// has its name now. claimRef says at which revision of the API server's database the
// claim was seen; a namespace that has not been written since then was there.
func (w *world) wasHere(v *corev1.PersistentVolume) bool {
	if _, ok := twinOf(v); ok {
		return w.mine(v)
	}
	order, err := resourceversion.CompareResourceVersion(w.namespace.resourceVersion, v.Spec.ClaimRef.ResourceVersion)
	return err == nil && order < 0
}

// refused tells why a reservation ends.
func (w *world) refused(v *corev1.PersistentVolume) []notice.Notice {
	if !w.live || isParked(v) {
		return nil
	}
	if _, ok := twinOf(v); !ok {
		return []notice.Notice{superseded(v, w.twin())}
	}
	if w.state(v) == binding && w.alive() {
		return []notice.Notice{refusedClaim(w.claim, v)}
	}
	if !w.alive() || !w.mine(v) {
		return []notice.Notice{keptForNobody(v, w.key.Namespace)}
	}
	return nil
}

// mismatch tells the owner of a claim why it does not get the volume that is reserved
// for it: Kubernetes passes over it in silence.
func (w *world) mismatch() (step, []notice.Notice) {
	c := w.claim
	if c == nil || c.DeletionTimestamp != nil || !w.alive() {
		return step{}, nil
	}
	for _, v := range w.reservations() {
		if reasons := differences(c, v); len(reasons) > 0 && c.Spec.VolumeName != v.Name {
			if !w.live {
				return step{do: look}, nil
			}
			return step{}, []notice.Notice{mismatched(c, v, reasons)}
		}
	}
	return step{}, nil
}

// differences says why the binder does not bind the two. It minds the class only in the
// scheduler, which may come second.
func differences(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) (found []string) {
	asked, has := c.Spec.Resources.Requests[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
	if asked.Cmp(has) > 0 {
		found = append(found, fmt.Sprintf("the claim asks for %s, the volume has %s", asked.String(), has.String()))
	}
	compare := func(what, claim, volume string) {
		if claim != volume {
			found = append(found, fmt.Sprintf("the claim has %s %q, the volume %q", what, claim, volume))
		}
	}
	compare("volumeAttributesClassName", value(c.Spec.VolumeAttributesClassName), value(v.Spec.VolumeAttributesClassName))
	compare("volumeMode", mode(c.Spec.VolumeMode), mode(v.Spec.VolumeMode))
	for _, m := range c.Spec.AccessModes {
		if !slices.Contains(v.Spec.AccessModes, m) {
			found = append(found, fmt.Sprintf("the claim has access mode %s, the volume has not", m))
		}
	}
	_, selected := c.Annotations[selectedNode]
	if c.Spec.VolumeName != "" || selected {
		compare("storageClassName", value(c.Spec.StorageClassName), v.Spec.StorageClassName)
		if len(found) == 0 {
			found = append(found, "the claim was given a volume before this one was reserved")
		}
	}
	return found
}

func mode(m *corev1.PersistentVolumeMode) string {
	if m == nil {
		return string(corev1.PersistentVolumeFilesystem)
	}
	return string(*m)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// retained reports whether the data outlives the claim.
func retained(v *corev1.PersistentVolume) bool {
	return v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
}

// isParked reports whether claimRef names a claim that cannot be.
func isParked(v *corev1.PersistentVolume) bool {
	return strings.HasPrefix(v.Spec.ClaimRef.Name, parked)
}
