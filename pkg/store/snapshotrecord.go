package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/quota"
)

const (
	snapshotFile    = "snapshot.json"
	snapshotVersion = 1
)

// SnapshotMethod is how a snapshot was made.
type SnapshotMethod string

const (
	// SnapshotSubvolume is a read-only snapshot of a btrfs subvolume: all files as they
	// were at one moment.
	SnapshotSubvolume SnapshotMethod = "subvolume"
	// SnapshotReflink is a copy of the directories whose files share their blocks with the
	// volume's: each file as it was at one moment.
	SnapshotReflink SnapshotMethod = "reflink"
	// SnapshotCopy is a copy of all files.
	SnapshotCopy SnapshotMethod = "copy"
)

// SnapshotRecord is snapshot.json: everything that is needed to find, check and restore
// a snapshot when only its disk is left.
type SnapshotRecord struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Name is the name in the CreateSnapshot call.
	Name string `json:"name"`
	// SourceVolume is the ID of the volume, Claim the one that it was made for then.
	SourceVolume string `json:"sourceVolume"`
	Claim        Claim  `json:"claim,omitzero"`
	// VolumeSnapshot and Content name the objects in Kubernetes; they are empty when the
	// caller did not say them.
	VolumeSnapshot Claim  `json:"volumeSnapshot,omitzero"`
	Content        string `json:"content,omitempty"`
	// Group is that of a group snapshot.
	Group string `json:"group,omitempty"`
	Node  string `json:"node"`
	// CapacityBytes is the volume's: what is restored has at least that.
	CapacityBytes int64 `json:"capacityBytes"`
	// Bytes and Files are what it holds. Files is 0 where nobody has counted.
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files,omitempty"`
	// Method is how it was made, and Consistency what came of it: "atomic", "idle" if no
	// pod could write meanwhile, or "any".
	Method      SnapshotMethod     `json:"method"`
	Consistency config.Consistency `json:"consistency"`
	// Subvolume is the data's ID where it is a btrfs subvolume.
	Subvolume quota.ID `json:"subvolume,omitempty"`
	// Origin is the ID of the volume with whose descendants it shares blocks, "" if it has
	// all for itself.
	Origin  string    `json:"origin,omitempty"`
	Created time.Time `json:"created"`
}

// check returns an error for what no hostdir has written.
func (r SnapshotRecord) check() error {
	if _, err := ParseSnapshotID(r.ID); err != nil {
		return err
	}
	if _, err := ParseVolumeID(r.SourceVolume); err != nil {
		return err
	}
	for _, bytes := range []int64{r.CapacityBytes, r.Bytes} {
		if bytes < 0 || bytes > maxCapacity {
			return fmt.Errorf("no snapshot has %d bytes", bytes)
		}
	}
	if !slices.Contains([]SnapshotMethod{SnapshotSubvolume, SnapshotReflink, SnapshotCopy}, r.Method) {
		return fmt.Errorf("no snapshot is made by the method %q", r.Method)
	}
	for _, c := range []Claim{r.Claim, r.VolumeSnapshot} {
		if c != (Claim{}) && !c.isPlain() {
			return fmt.Errorf("%q in namespace %q is no name in Kubernetes", c.Name, c.Namespace)
		}
	}
	return nil
}

// readSnapshot reads the record in a snapshot's directory.
func readSnapshot(d *dir.Dir, id SnapshotID) (SnapshotRecord, error) {
	r, err := readAnySnapshot(d)
	if err == nil && r.ID != id.String() {
		return SnapshotRecord{}, fmt.Errorf("its %s belongs to snapshot %q", snapshotFile, r.ID)
	}
	return r, err
}

// readAnySnapshot reads the record of whatever snapshot a directory holds.
func readAnySnapshot(d *dir.Dir) (SnapshotRecord, error) {
	data, err := d.ReadFile(snapshotFile)
	if errors.Is(err, fs.ErrNotExist) {
		return SnapshotRecord{}, fmt.Errorf("its %s is gone", snapshotFile)
	}
	if err != nil {
		return SnapshotRecord{}, err
	}
	var r SnapshotRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return SnapshotRecord{}, fmt.Errorf("its %s cannot be read: %w", snapshotFile, err)
	}
	if r.Version != snapshotVersion {
		return SnapshotRecord{}, fmt.Errorf("its %s has version %d, this hostdir knows version %d", snapshotFile, r.Version, snapshotVersion)
	}
	if err := r.check(); err != nil {
		return SnapshotRecord{}, fmt.Errorf("its %s is damaged: %w", snapshotFile, err)
	}
	return r, nil
}

// write makes the record of a snapshot that is being made.
func (r SnapshotRecord) write(d *dir.Dir) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return d.WriteFile(snapshotFile, append(data, '\n'))
}
