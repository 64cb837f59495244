// Package admin lets an operator ask the running node plugin what it has, and
// give it orders: a server beside the CSI socket, the client that the commands of
// hostdir are, and the tables that people read. Questions change nothing. An order
// is carried out by the plugin itself, under the locks of its calls.
package admin

import (
	"path/filepath"
	"time"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/store"
)

// SocketPath is where the plugin answers operators that serves CSI at csiSocket.
func SocketPath(csiSocket string) string {
	return filepath.Join(filepath.Dir(csiSocket), "admin.sock")
}

// Pools is the answer to GET /pools.
type Pools struct {
	// ConfigError is why the configuration in the file is not in force, "" if
	// it is.
	ConfigError     string          `json:"configError,omitempty"`
	BaseDirectories []BaseDirectory `json:"baseDirectories"`
}

// BaseDirectory is one of a pool's. What is known only of one that can be used
// is nil of the others.
type BaseDirectory struct {
	Pool  string    `json:"pool"`
	Path  string    `json:"path"`
	UUID  string    `json:"uuid,omitempty"`
	State BaseState `json:"state"`
	// Reason is why the state is not Ready; Refusal is of which kind it is, if
	// the state is Unusable.
	Reason         string        `json:"reason,omitempty"`
	Refusal        store.Refusal `json:"refusal,omitempty"`
	SizeBytes      *int64        `json:"sizeBytes,omitempty"`
	FreeBytes      *int64        `json:"freeBytes,omitempty"`
	PromisedBytes  int64         `json:"promisedBytes"`
	AvailableBytes int64         `json:"availableBytes"`
	Volumes        int           `json:"volumes"`
	Trash          int           `json:"trash"`
	// Stuck are those of Trash that could not be purged when it was tried.
	Stuck int `json:"stuck"`
	// Quota is how new volumes are held to their capacity: xfs, ext4, btrfs, or
	// none, and then WhyAdvisory is why.
	Quota       quota.Kind `json:"quota,omitempty"`
	WhyAdvisory string     `json:"whyAdvisory,omitempty"`
}

// BaseState is what can be done with a base directory.
type BaseState string

const (
	// Ready says that it serves its volumes and takes more, if there is room.
	Ready BaseState = "ready"
	// NoNewVolumes says that it serves its volumes, but takes no more: it is
	// read-only, or has no free inodes.
	NoNewVolumes BaseState = "no-new-volumes"
	// Unusable says that it serves nothing.
	Unusable BaseState = "unusable"
)

// Volumes is the answer to GET /volumes.
type Volumes struct {
	Volumes []Volume `json:"volumes"`
}

// Volume is a volume of a base directory that can be used. Of one in quarantine
// only ID, pool and path are known.
type Volume struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Claim is the PersistentVolumeClaim that the volume was made for.
	Claim *store.Claim `json:"claim,omitempty"`
	Pool  string       `json:"pool"`
	// Path is the data directory on the node.
	Path          string `json:"path"`
	CapacityBytes int64  `json:"capacityBytes"`
	// Used is what it was last seen to hold, nil if it was never counted.
	Used *Used `json:"used,omitempty"`
	// Quota is what the volume was given to hold it to its capacity, "" if that
	// is advisory. Enforced tells whether it does so now.
	Quota    quota.Kind `json:"quota,omitempty"`
	Enforced bool       `json:"enforced"`
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

// pools asks the store.
func pools(s *store.Store) Pools {
	p := Pools{ConfigError: s.ConfigError(), BaseDirectories: []BaseDirectory{}}
	for _, status := range s.Status() {
		p.BaseDirectories = append(p.BaseDirectories, baseDirectory(status))
	}
	return p
}

func baseDirectory(s store.Status) BaseDirectory {
	b := BaseDirectory{
		Pool: s.Pool, Path: s.Path, UUID: s.UUID, State: Ready,
		PromisedBytes: s.PromisedBytes, Volumes: s.Volumes,
	}
	if s.Err != nil {
		b.State, b.Reason, b.Refusal = Unusable, s.Err.Error(), s.Refusal
		return b
	}
	b.SizeBytes, b.FreeBytes = &s.Room.SizeBytes, &s.Room.FreeBytes
	b.AvailableBytes, b.Trash, b.Stuck, b.Quota = s.Room.AvailableBytes, s.Room.Trash, s.Room.Stuck, s.Quota
	if s.Room.Refuses != nil {
		b.State, b.Reason = NoNewVolumes, s.Room.Refuses.Error()
	}
	if s.WhyUnlimited != nil {
		b.WhyAdvisory = s.WhyUnlimited.Error()
	}
	return b
}

// volume is what a person may want to know of a volume.
func volume(s store.VolumeStatus) Volume {
	v := Volume{ID: s.ID, Name: s.Name, Pool: s.Pool, Path: s.Path}
	if s.Quarantine != nil {
		v.Quarantine = s.Quarantine.Error()
		return v
	}
	v.CapacityBytes, v.Enforced, v.Created = s.CapacityBytes, s.Enforced, &s.Created
	v.Claim = claimOrNil(s.Claim)
	if s.Quota != nil {
		v.Quota = s.Quota.Kind
	}
	if !s.Count.At.IsZero() {
		v.Used = &Used{Bytes: s.Count.Bytes, At: s.Count.At}
		if v.Quota != quota.Btrfs {
			v.Used.Inodes = &s.Count.Inodes
		}
	}
	return v
}
