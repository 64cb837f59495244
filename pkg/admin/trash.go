package admin

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
)

// Trash is the answer to GET /trash.
type Trash struct {
	Volumes []DeletedVolume `json:"volumes"`
}

// DeletedVolume is a deleted volume whose files are still there. If its record
// cannot be read, only entry, pool, path and the moments are known.
type DeletedVolume struct {
	// Entry is what it is called in the trash.
	Entry string `json:"entry"`
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	// Claim is the PersistentVolumeClaim that the volume was made for.
	Claim         *Claim `json:"claim,omitempty"`
	Pool          string `json:"pool"`
	Path          string `json:"path"`
	CapacityBytes int64  `json:"capacityBytes"`
	// UsedBytes is what it holds, nil if no quota knows.
	UsedBytes *int64 `json:"usedBytes,omitempty"`
	// Deleted is nil for one that is being purged. PurgeAt is when it is, unless
	// the disk runs full before; nil if that has begun, or never comes by itself.
	Deleted *time.Time `json:"deleted,omitempty"`
	PurgeAt *time.Time `json:"purgeAt,omitempty"`
	// PurgeError is why it could not be purged.
	PurgeError string `json:"purgeError,omitempty"`
}

// VolumeRef is the body of orders about one volume.
type VolumeRef struct {
	// Volume is its ID or name, its claim as namespace/name or, of a deleted one,
	// its entry in the trash.
	Volume string `json:"volume"`
}

// Trash asks for the deleted volumes.
func (c *Client) Trash(ctx context.Context) (t Trash, err error) {
	err = c.get(ctx, "/trash", &t)
	return t, err
}

// Undelete brings a deleted volume back.
func (c *Client) Undelete(ctx context.Context, ref string) (a Adoptable, err error) {
	err = c.post(ctx, "/undelete", VolumeRef{ref}, &a)
	return a, err
}

// Purge removes a deleted volume before its time.
func (c *Client) Purge(ctx context.Context, ref string) (v DeletedVolume, err error) {
	err = c.post(ctx, "/purge", VolumeRef{ref}, &v)
	return v, err
}

// WriteTable writes the deleted volumes for people. Ages are as of now.
func (t Trash) WriteTable(w io.Writer, now time.Time) error {
	var rows [][]string
	var notes []string
	for _, v := range t.Volumes {
		rows = append(rows, v.Cells(now))
		if v.PurgeError != "" {
			notes = append(notes, fmt.Sprintf("%s: it cannot be removed: %s", v.Path, v.PurgeError))
		}
	}
	return writeTable(w, strings.Join(TrashHeader, " "), rows, notes)
}

// TrashHeader is above Cells.
var TrashHeader = []string{"MADE-FOR", "VOLUME", "POOL", "SIZE", "USED", "DELETED", "PURGED-IN", "ENTRY"}

// Cells are a line of a table for people.
func (v DeletedVolume) Cells(now time.Time) []string {
	claim, name, size, deleted, purged := unknown, unknown, unknown, unknown, unknown
	if v.Claim != nil {
		claim = v.Claim.String()
	}
	if v.ID != "" {
		name, size = v.Name, config.FormatSize(v.CapacityBytes)
	}
	if v.Deleted != nil {
		deleted = formatAge(now.Sub(*v.Deleted)) + " ago"
	}
	switch {
	case v.PurgeAt != nil && now.Before(*v.PurgeAt):
		purged = formatAge(v.PurgeAt.Sub(now))
	case v.PurgeAt != nil || v.Deleted == nil:
		purged = "now"
	}
	return []string{claim, name, v.Pool, size, sizeOrUnknown(v.UsedBytes), deleted, purged, v.Entry}
}

// Find returns those that a person can mean with ref (see VolumeRef) and that are not
// being purged yet.
func (t Trash) Find(ref string) []DeletedVolume {
	var found []DeletedVolume
	for _, v := range t.Volumes {
		if v.Deleted != nil && (ref == v.Entry || ref == v.ID || ref == v.Name || v.Claim != nil && ref == v.Claim.String()) {
			found = append(found, v)
		}
	}
	return found
}

// PurgePlan is what a person is asked about.
func (t Trash) PurgePlan(ref string) string {
	return fmt.Sprintf("This removes the deleted volume %s for good, and nothing else of what is in the trash (volumes: %d).", ref, len(t.Volumes))
}
