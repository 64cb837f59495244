package rebuild

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostdir/hostdir/pkg/admin"
)

// create is for a volume without a PersistentVolume.
func (p planner) create(r *Row, v Volume) {
	if taken := p.persistentVolume(v.PersistentVolume); taken != nil {
		r.conflict("PersistentVolume %s is another volume's", taken.Name)
		return
	}
	claim, ok := p.owner(v)
	if !ok {
		r.conflict("it is not known which claim it was made for: `hostdir volumes pv %s --claim NAMESPACE/NAME` on its node prints its PersistentVolume", v.ID)
		return
	}
	r.Claim = claim.String()
	if others := p.othersOf(v, claim); len(others) > 0 {
		r.conflict("claim %s can have one volume, and there are also %s: `hostdir volumes delete` those that are not needed", claim, strings.Join(others, ", "))
		return
	}
	there := p.claim(claim)
	if there != nil && there.Spec.VolumeName != "" && there.Spec.VolumeName != v.PersistentVolume {
		r.conflict("claim %s is bound to PersistentVolume %s", claim, there.Spec.VolumeName)
		return
	}
	waits := there != nil && there.Spec.VolumeName == ""
	if waits && there.DeletionTimestamp != nil {
		r.conflict("claim %s is being deleted: let it go first", claim)
		return
	}
	class, ok := p.class(r, v, there)
	if !ok {
		return
	}
	modes := p.modes(r, v, there)
	fresh, err := newPersistentVolume(v, claim, class, modes)
	if err != nil {
		r.conflict("no PersistentVolume can be made of its record: %v", err)
		return
	}
	if waits {
		if why := misfit(there, fresh); why != "" {
			r.conflict("claim %s %s: Kubernetes would not bind it; delete it, or give it what its volume has", claim, why)
			return
		}
	} else if there != nil {
		fresh.Spec.ClaimRef.UID = there.UID
	}
	r.Volume, r.Class, r.new = Create, class, fresh
	if !slices.ContainsFunc(p.Classes, func(c storagev1.StorageClass) bool { return c.Name == class }) {
		r.say("there is no StorageClass %s: it cannot grow before that is made", class)
	}
	p.claimOf(r, fresh)
}

// owner is the claim that has, or is to have, a volume.
func (p planner) owner(v Volume) (admin.Claim, bool) {
	if there := p.having(v.ID); len(there) > 0 {
		if c := there[0].Spec.ClaimRef; c != nil {
			return admin.Claim{Namespace: c.Namespace, Name: c.Name}, true
		}
		return admin.Claim{}, false
	}
	if c := p.holder(v.PersistentVolume); c != nil {
		return admin.Claim{Namespace: c.Namespace, Name: c.Name}, true
	}
	if v.Claim == nil {
		return admin.Claim{}, false
	}
	return *v.Claim, true
}

// othersOf names what else would be bound to the claim.
func (p planner) othersOf(v Volume, claim admin.Claim) (others []string) {
	known := map[string]bool{}
	for _, other := range p.Volumes {
		known[other.ID] = true
		if other.ID == v.ID || other.Quarantine != "" {
			continue
		}
		if c, ok := p.owner(other); ok && c == claim {
			others = append(others, other.ID+" on node "+other.Node)
		}
	}
	for _, other := range p.PersistentVolumes {
		c := other.Spec.ClaimRef
		if c == nil || c.UID != "" || c.Namespace != claim.Namespace || c.Name != claim.Name {
			continue
		}
		if other.Spec.CSI == nil || !known[other.Spec.CSI.VolumeHandle] {
			others = append(others, "PersistentVolume "+other.Name)
		}
	}
	slices.Sort(others)
	return others
}

// newPersistentVolume is the one that `hostdir volumes pv` prints.
func newPersistentVolume(v Volume, claim admin.Claim, class string, modes []string) (*corev1.PersistentVolume, error) {
	text, err := json.Marshal(v.Manifest(claim, class, modes))
	if err != nil {
		return nil, err
	}
	fresh := &corev1.PersistentVolume{}
	return fresh, json.Unmarshal(text, fresh)
}

// misfit is why Kubernetes would not bind a claim that waits.
func misfit(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) string {
	if class := classOf(c); class != v.Spec.StorageClassName {
		return "is of class " + class + ", and its volume of " + v.Spec.StorageClassName
	}
	if asked, has := c.Spec.Resources.Requests.Storage(), v.Spec.Capacity.Storage(); asked.Cmp(*has) > 0 {
		return "asks for " + asked.String() + ", and its volume has " + has.String()
	}
	for _, mode := range c.Spec.AccessModes {
		if !slices.Contains(v.Spec.AccessModes, mode) {
			return "asks for " + string(mode) + ", which its volume was not made for"
		}
	}
	if c.Spec.VolumeMode != nil && *c.Spec.VolumeMode != corev1.PersistentVolumeFilesystem {
		return "asks for volumeMode " + string(*c.Spec.VolumeMode)
	}
	if c.Spec.Selector != nil {
		return "has a selector"
	}
	return ""
}

func classOf(c *corev1.PersistentVolumeClaim) string {
	if c == nil || c.Spec.StorageClassName == nil {
		return ""
	}
	return *c.Spec.StorageClassName
}

// claimOf decides about the claim that a PersistentVolume is reserved for.
func (p planner) claimOf(r *Row, v *corev1.PersistentVolume) {
	ref := v.Spec.ClaimRef
	if ref == nil {
		if p.Options.Claims {
			r.say("it is reserved for no claim")
		}
		return
	}
	claim := admin.Claim{Namespace: ref.Namespace, Name: ref.Name}
	there := p.claim(claim)
	isIts := there != nil && (ref.UID == "" || ref.UID == there.UID) && (there.Spec.VolumeName == "" || there.Spec.VolumeName == v.Name)
	switch {
	case isIts:
		r.ClaimVerb = Exists
	case there != nil || ref.UID != "":
		r.say("it was bound to a claim %s that is gone", claim)
	case !p.Options.Claims:
	case !p.hasNamespace(claim.Namespace):
		r.ClaimVerb = Conflict
		r.say("there is no namespace %s: make it first", claim.Namespace)
	default:
		r.ClaimVerb, r.claim = Create, newClaim(v)
	}
}

func newClaim(v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	class := v.Spec.StorageClassName
	c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: v.Spec.AccessModes, VolumeName: v.Name,
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *v.Spec.Capacity.Storage()}},
	}}
	c.APIVersion, c.Kind, c.Namespace, c.Name = "v1", "PersistentVolumeClaim", v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name
	return c
}
