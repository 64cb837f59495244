// Package admin lets an operator ask the running node plugin what it has, and
// give it orders: the client, what it asks and is answered, and the tables that
// people read. Questions change nothing. An order is carried out by the plugin
// itself (see pkg/admin/server). It runs wherever kubectl does.
package admin

import (
	"path/filepath"
	"time"
)

// SocketPath returns the path of the operators' socket: beside the CSI socket.
func SocketPath(csiSocket string) string {
	return filepath.Join(filepath.Dir(csiSocket), "admin.sock")
}

// Disks is the answer to GET /disks.
type Disks struct {
	// ConfigError is why the configuration in the file is not in force, "" if
	// it is.
	ConfigError string `json:"configError,omitempty"`
	Disks       []Disk `json:"disks"`
}

// Disk is one of a pool's. What was never seen of it is nil.
type Disk struct {
	Pool  string    `json:"pool"`
	Path  string    `json:"path"`
	UUID  string    `json:"uuid,omitempty"`
	State DiskState `json:"state"`
	// Message is why the state is not Ready; Reason is its kind, if the state is
	// Unusable.
	Message string `json:"message,omitempty"`
	Reason  Reason `json:"reason,omitempty"`
	// Cordoned is why the disk takes no new volumes although it could, "" if nobody
	// wants that.
	Cordoned string `json:"cordoned,omitempty"`
	// MeasuredAt is when the sizes were looked at.
	MeasuredAt     *time.Time `json:"measuredAt,omitempty"`
	SizeBytes      *int64     `json:"sizeBytes,omitempty"`
	FreeBytes      *int64     `json:"freeBytes,omitempty"`
	AllocatedBytes int64      `json:"allocatedBytes"`
	AvailableBytes int64      `json:"availableBytes"`
	Volumes        int        `json:"volumes"`
	// Snapshots are those that a disk in use has, SnapshotBytes what they hold. The record
	// of QuarantinedSnapshots cannot be read.
	Snapshots            int   `json:"snapshots"`
	SnapshotBytes        int64 `json:"snapshotBytes"`
	QuarantinedSnapshots int   `json:"quarantinedSnapshots,omitempty"`
	// OtherNodes are those that Volumes were made on, but for this one.
	OtherNodes []NodeVolumes `json:"otherNodes,omitempty"`
	Trash      int           `json:"trash"`
	// Stuck are those of Trash that could not be purged when it was tried.
	Stuck int `json:"stuck"`
	// Quota is how new volumes are held to their capacity: xfs, ext4, btrfs, or
	// none, and then WhyAdvisory is why.
	Quota       QuotaKind `json:"quota,omitempty"`
	WhyAdvisory string    `json:"whyAdvisory,omitempty"`
}

// DiskState is what can be done with a disk.
type DiskState string

const (
	// Ready says that it serves its volumes and takes more, if there is room.
	Ready DiskState = "ready"
	// NoNewVolumes says that it serves its volumes, but takes no more: it is
	// read-only, or has no free inodes.
	NoNewVolumes DiskState = "no-new-volumes"
	// CordonedOff says that it serves its volumes, and takes no more because
	// somebody wants that.
	CordonedOff DiskState = "cordoned"
	// Unusable says that it serves nothing.
	Unusable DiskState = "unusable"
)

// Volumes is the answer to GET /volumes.
type Volumes struct {
	Volumes []Volume `json:"volumes"`
}

// Volume is a volume of a disk in use. Of one in quarantine only ID, pool and path
// are known.
type Volume struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Claim is the PersistentVolumeClaim that the volume was made for. A node does
	// not learn when it is bound to another one.
	Claim *Claim `json:"claim,omitempty"`
	Pool  string `json:"pool"`
	// Node is the one that the volume was made on.
	Node string `json:"node,omitempty"`
	// Path is the data directory on the node.
	Path          string `json:"path"`
	CapacityBytes int64  `json:"capacityBytes"`
	// Used is what it was last seen to hold, nil if it was never counted.
	Used *Used `json:"used,omitempty"`
	// Quota is what the volume was given to hold it to its capacity, "" if that
	// is advisory. Enforced says whether it does so now.
	Quota    QuotaKind `json:"quota,omitempty"`
	Enforced bool      `json:"enforced"`
	// Source is the ID of the snapshot or volume that it began as a copy of; Origin that
	// of the volume with whose descendants it shares blocks.
	Source string `json:"source,omitempty"`
	Origin string `json:"origin,omitempty"`
	// Snapshots is how many of it there are.
	Snapshots int `json:"snapshots,omitempty"`
	// Quarantine is why the volume is neither published nor deleted.
	Quarantine string     `json:"quarantine,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
}

// Used is what a volume was seen to hold. Inodes are nil where the filesystem
// does not count them.
type Used struct {
	Bytes  int64     `json:"bytes"`
	Inodes *int64    `json:"inodes,omitempty"`
	At     time.Time `json:"countedAt"`
}
