package admin

import "fmt"

// Claim is the PersistentVolumeClaim that a volume was made for.
type Claim struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is "namespace/name", or "" if the claim is unknown.
func (c Claim) String() string {
	if c == (Claim{}) {
		return ""
	}
	return c.Namespace + "/" + c.Name
}

// QuotaKind is how volumes are held to their capacity: xfs, ext4, btrfs, or none.
type QuotaKind string

const (
	// NoQuota: the capacity is advisory.
	NoQuota QuotaKind = "none"
	// BtrfsQuota counts bytes, and no inodes.
	BtrfsQuota QuotaKind = "btrfs"
)

// Reason is why a disk is unusable: absent, exchanged, copied, owned, faulty,
// pending or unresponsive (see pkg/disk).
type Reason string

// NodeVolumes is how many volumes were made on a node.
type NodeVolumes struct {
	Node    string `json:"node"`
	Volumes int    `json:"volumes"`
}

// String is for people.
func (n NodeVolumes) String() string { return fmt.Sprintf("%s: %d", n.Node, n.Volumes) }

// Finding is one thing that is wrong on a node, and what to do about it.
type Finding struct {
	// Kind is one of those that docs/how-to/troubleshooting.md lists.
	Kind string `json:"kind"`
	// Path is what it is about.
	Path string `json:"path"`
	// VolumeID and Claim say whose it is, where that is known.
	VolumeID string `json:"volumeID,omitempty"`
	Claim    Claim  `json:"claim,omitzero"`
	// Problem is a sentence: what is wrong. Remedy is what a person does about it.
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
	// Repairable says that a repair fixes it.
	Repairable bool `json:"repairable"`
	// Failed is why the repair could not.
	Failed string `json:"failed,omitempty"`
}

// Report is what a check has found.
type Report struct {
	// Disks and Volumes are how many were looked at.
	Disks    int       `json:"disks"`
	Volumes  int       `json:"volumes"`
	Findings []Finding `json:"findings"`
}

// DiskOrder is what an operator can decide about a disk that the plugin does not use
// by itself.
type DiskOrder string

const (
	// InitDisk makes a new disk of an empty directory.
	InitDisk DiskOrder = "init"
	// AcceptDisk says that the disk that is there now is the right one.
	AcceptDisk DiskOrder = "accept"
)

// DiskPlan is what an order is going to do, in words for the operator.
type DiskPlan struct {
	Path string `json:"path"`
	// Was is what was last used there, Found what is there now.
	Was    string `json:"was"`
	Found  string `json:"found"`
	Effect string `json:"effect"`
	// Token stands for what was found: the plan is carried out only if that is
	// still there.
	Token string `json:"token"`
}

// String is what a person is asked about.
func (p DiskPlan) String() string {
	return fmt.Sprintf("%s\n  was:  %s\n  now:  %s\n%s", p.Path, p.Was, p.Found, p.Effect)
}
