package why

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What is said in events of claims that begin as copies.

// restoreReasons are those of hostdir-controller's events about such claims, and
// csi-provisioner's. What was said last counts.
var restoreReasons = []string{"RestoreWaiting", "RestoreRefused", "RestoreNodeUnknown", "RestoreNodeGone", "RestoreNoRoom", "Provisioning", "ProvisioningFailed"}

// copyWord is what such an event says, and of which cause it speaks then.
type copyWord struct {
	phrase string
	cause  Name
}

// The first that is found counts. A test holds hostdir's own to the source that says it.
var (
	controllerWords = []copyWord{
		{"and there is no such node", NodeLost},
		{"their CRDs are not installed", SourceMissing},
		{"there is no such", SourceMissing},
		{"it is being deleted", SourceMissing},
		{"it has no VolumeSnapshotContent yet", SourceNotReady},
		{"it is not ready", SourceNotReady},
		{"it is not bound", SourceNotReady},
		{"it is a snapshot of the driver", SourceForeign},
		{"is none of hostdir's", SourceForeign},
		{"nothing says which node has", SourceNodeUnknown},
		{"it does not take the claim now", SourceNoRoom},
	}
	provisionerWords = []copyWord{
		{"error getting snapshot", SourceMissing},
		{"error getting PVC", SourceMissing},
		{"is currently being deleted", SourceMissing},
		{"is not handled by CSI driver", SourceForeign},
		{"is less than the size", SourceLarger},
		{"must be greater than or equal in size", SourceLarger},
		{"not bound", SourceNotReady},
		{"is not Ready", SourceNotReady},
		{"must have a status of Bound", SourceNotReady},
	}
	storeWords = []copyWord{
		{"must have that too", SourceLarger},
		{"use a class of pool", SourcePool},
		{"is being copied", Copying},
		{"only the disk ", SourceNoRoom},
	}
)

// copyTold returns what was said last about a claim that begins as a copy, if it is of
// this cause.
func (v *view) copyTold(cause Name) *corev1.Event {
	if v.Object == nil || !v.copies() {
		return nil
	}
	e := v.newest(ClaimKind, v.Name, restoreReasons...)
	if e == nil {
		return nil
	}
	words := controllerWords
	if e.Reason == "ProvisioningFailed" || e.Reason == "RestoreNoRoom" { // which quotes it
		words = slices.Concat(storeWords, provisionerWords, controllerWords)
	}
	for _, w := range words {
		if strings.Contains(e.Message, w.phrase) {
			if w.cause == cause {
				return e
			}
			return nil
		}
	}
	return nil
}
