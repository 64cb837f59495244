package nodeloss

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hostdir/hostdir/pkg/controller/pv"
)

// Annotations of this loop's own; those that people write are pv's.
const (
	// NodeLostSince is since when the Node object is absent; on claims, too, whose
	// provisioning had begun there.
	NodeLostSince = "csi.hostdir.io/node-lost-since"
	// DiskMissingSince is since when the node is back, and its plugin has not
	// confirmed that it has the volume's disk.
	DiskMissingSince = "csi.hostdir.io/disk-missing-since"
	// Told is what people were told last, so that they are told once.
	Told = "csi.hostdir.io/node-loss"
)

const (
	selectedNode    = "volume.kubernetes.io/selected-node"
	provisioner     = "volume.kubernetes.io/storage-provisioner"
	betaProvisioner = "volume.beta.kubernetes.io/storage-provisioner"

	// reuseFinalizer keeps the claim of a class with `reuse: same-claim` until its
	// volume is reserved for the next claim of its name.
	reuseFinalizer = "csi.hostdir.io/reuse"
)

// isMarked reports whether the loop has begun something about a volume.
func isMarked(v *corev1.PersistentVolume) bool {
	for _, key := range []string{NodeLostSince, DiskMissingSince, pv.GiveUpAnnotation, pv.GivenUpAnnotation} {
		if _, ok := v.Annotations[key]; ok {
			return true
		}
	}
	return false
}

// moment reads a moment that was written down. One that cannot be read, or is still to
// come, was not.
func moment(text string, now time.Time) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	// Clocks differ a little.
	return t, err == nil && !t.After(now.Add(time.Minute))
}

func written(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// givenUp is in the annotation pv.GivenUpAnnotation.
type givenUp struct {
	At time.Time `json:"at"`
	// Policy is what the volume had, should its node come back.
	Policy corev1.PersistentVolumeReclaimPolicy `json:"policy"`
}

func (g givenUp) String() string {
	text, _ := json.Marshal(g)
	return string(text)
}

// isSecured reports whether nobody deletes the volume's data any more, whoever comes
// back, and its PersistentVolume goes at once when it is deleted.
func isSecured(v *corev1.PersistentVolume) bool {
	return pv.GivenUp(v) && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain && !slices.Contains(v.Finalizers, pv.DeletionFinalizer)
}
