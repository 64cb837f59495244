package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
)

// Snapshots is the answer to GET /snapshots.
type Snapshots struct {
	Snapshots []Snapshot `json:"snapshots"`
	// Copies are volumes that are being made.
	Copies []Copy `json:"copies,omitempty"`
}

// Snapshot is a snapshot on a disk in use, or one that is being made. Of one in
// quarantine only ID, pool and path are known.
type Snapshot struct {
	ID string `json:"id"`
	// Name is the one in the CSI call.
	Name string `json:"name,omitempty"`
	// VolumeSnapshot and Content are the objects in Kubernetes.
	VolumeSnapshot *Claim `json:"volumeSnapshot,omitempty"`
	Content        string `json:"content,omitempty"`
	// Group is that of a group snapshot.
	Group string `json:"group,omitempty"`
	// SourceVolume is the ID of the volume, Claim the PersistentVolumeClaim that it was
	// made for.
	SourceVolume string `json:"sourceVolume,omitempty"`
	Claim        *Claim `json:"claim,omitempty"`
	// Origin is the ID of the volume with whose descendants it shares blocks.
	Origin string `json:"origin,omitempty"`
	Pool   string `json:"pool"`
	// Node is the one that it was made on.
	Node string `json:"node,omitempty"`
	// Path is the data directory on the node.
	Path string `json:"path"`
	// CapacityBytes is what a claim has at least that begins as it.
	CapacityBytes int64 `json:"capacityBytes"`
	// Bytes and Files are what it holds; Files is 0 where nobody has counted.
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files,omitempty"`
	// AloneBytes is what of that it shares with nothing else, nil if nobody knows.
	AloneBytes *int64 `json:"aloneBytes,omitempty"`
	// Method is subvolume, reflink or copy, Consistency atomic, idle or any.
	Method      string     `json:"method,omitempty"`
	Consistency string     `json:"consistency,omitempty"`
	Created     *time.Time `json:"created,omitempty"`
	// Ready is false while it is being made, and Progress is how that comes along.
	Ready    bool      `json:"ready"`
	Progress *Progress `json:"progress,omitempty"`
	// Quarantine is why it is neither restored nor deleted.
	Quarantine string `json:"quarantine,omitempty"`
}

// Copy is a volume that is being made as a copy of a snapshot or of another volume.
type Copy struct {
	// Volume is its name, Source the ID of what is copied.
	Volume   string    `json:"volume"`
	Source   string    `json:"source"`
	Progress *Progress `json:"progress,omitempty"`
}

// Snapshots asks for the snapshots.
func (c *Client) Snapshots(ctx context.Context) (s Snapshots, err error) {
	err = c.get(ctx, "/snapshots", &s)
	return s, err
}

// WriteTable writes the snapshots for people. Ages are as of now.
func (s Snapshots) WriteTable(w io.Writer, now time.Time) error {
	var rows [][]string
	var notes []string
	for _, each := range s.Snapshots {
		rows = append(rows, each.row(now))
		if each.Quarantine != "" {
			notes = append(notes, fmt.Sprintf("%s: quarantined: %s", each.Path, each.Quarantine))
		}
	}
	for _, c := range s.Copies {
		notes = append(notes, c.String())
	}
	return writeTable(w, "SNAPSHOT MADE-FROM POOL NODE-PATH HOLDS ALONE METHOD CONSISTENCY AGE READY", rows, notes)
}

func (s Snapshot) row(now time.Time) []string {
	made, holds, age := unknown, unknown, unknown
	if s.Claim != nil {
		made = s.Claim.String()
	}
	if s.Ready {
		holds = config.FormatSize(s.Bytes)
	}
	if s.Created != nil {
		age = formatAge(now.Sub(*s.Created))
	}
	return []string{s.String(), made, s.Pool, s.Path, holds, sizeOrUnknown(s.AloneBytes), cmp.Or(s.Method, unknown), cmp.Or(s.Consistency, unknown), age, s.State()}
}

// String is the VolumeSnapshot as namespace/name, or else the last part of the ID.
func (s Snapshot) String() string {
	if s.VolumeSnapshot != nil {
		return s.VolumeSnapshot.String()
	}
	return s.ID[strings.LastIndex(s.ID, ".")+1:]
}

// State says whether a snapshot is ready, or else what becomes of it.
func (s Snapshot) State() string {
	switch {
	case s.Quarantine != "":
		return "quarantined"
	case s.Ready:
		return "true"
	case s.Progress == nil:
		return "false"
	}
	return "false, " + s.Progress.String()
}

// String is for people.
func (c Copy) String() string {
	text := fmt.Sprintf("volume %s is being made as a copy of %s", c.Volume, c.Source)
	if c.Progress != nil {
		text += ": " + c.Progress.String()
	}
	return text
}

// String says how far it is.
func (p Progress) String() string {
	done := config.FormatSize(p.Bytes)
	if p.TotalBytes > 0 {
		done += " of some " + config.FormatSize(p.TotalBytes)
	}
	return p.Phase + " " + done
}
