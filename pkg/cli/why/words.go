package why

import "strings"

// words are what hostdir says in events, and of which cause it speaks then. The first
// that is found counts: of a pool's disks one that cannot be used dominates one that
// is full. A test holds each to the source that says it.
var words = []struct {
	phrase string
	cause  Name
}{
	{"in quarantine", Quarantined},
	{"may be a copy", DiskCopied},
	{"one is a copy", DiskCopied},
	{"is a copy of disk", DiskCopied},
	{"older copy of disk", DiskCopied},
	{"several copies of disk", DiskCopied},
	{"it was made on another filesystem", DiskCopied},
	{"it is the same directory as", DiskCopied},
	{"the disk was exchanged", DiskExchanged},
	{"something else was mounted there", DiskExchanged},
	{"no disk is mounted there", DiskAbsent},
	{"is the disk mounted?", DiskAbsent},
	{"it is not there", DiskAbsent},
	{"uses it, or did less than", DiskOwned},
	{"has used it last", DiskOwned},
	{"does not answer", DiskUnresponsive},
	{"has not answered", DiskUnresponsive},
	{"not looked at yet", DiskStarting},
	{"it is being read", DiskStarting},
	{"the disk is being read", DiskStarting},
	{"it has not been read yet", DiskStarting},
	{"have not returned yet", DiskStarting},
	{"uses it since a moment ago", DiskStarting},
	{"has not been looked at yet", DiskStarting},
	{"not on this node", DiskMissing},
	{"disk unavailable", DiskFaulty},
	{"quota is required", QuotaMissing},
	{"in hostdir's configuration", PoolUnknown},
	{"has room, but", DiskCordoned},
	{"is read-only", DiskReadOnly},
	{"has no free inodes", DiskReadOnly},
	{"cannot grow to", ResizeBeyondRoom},
	{"has room for", PoolFull},
}

// spokenOf returns the cause of which a message of hostdir speaks, "" if of none.
func spokenOf(message string) Name {
	for _, w := range words {
		if strings.Contains(message, w.phrase) {
			return w.cause
		}
	}
	return ""
}

// What Kubernetes' components say.
const (
	// The scheduler, of nodes.
	noRoomWords      = "did not have enough free storage"
	noDriverWords    = "CSI driver is not installed on the node"
	noVolumeWords    = "didn't find available persistent volumes to bind"
	affinityWords    = "didn't match PersistentVolume's node affinity"
	unboundWords     = "pod has unbound immediate PersistentVolumeClaims"
	boundToGoneWords = "bound to non-existent"
	// kubelet.
	unregisteredWords = "not found in the list of registered CSI drivers"
	misplacedWords    = "NodeAffinity check failed"
	// csi-provisioner, around the driver's error.
	invalidWords = "code = InvalidArgument"
	// hostdir, of a claim that begins as a copy of what another node has.
	otherNodeWords = "which is on another node, and can be made only there"
	// hostdir, of a volume that it does not delete.
	inUseWords = "it is in use"
)

// reasons of disks, as pkg/disk has them.
var reasons = map[string]Name{
	"absent": DiskAbsent, "exchanged": DiskExchanged, "copied": DiskCopied, "owned": DiskOwned,
	"faulty": DiskFaulty, "pending": DiskStarting, "unresponsive": DiskUnresponsive,
}
