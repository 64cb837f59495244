package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"github.com/hostdir/hostdir/pkg/quota"
)

const (
	recordFile    = "volume.json"
	recordVersion = 1
	dataDir       = "data"
)

// Record is volume.json: everything that is needed to find, check and rebuild
// a volume when only its disk is left.
type Record struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Name is the name in the CreateVolume call.
	Name          string `json:"name"`
	CapacityBytes int64  `json:"capacityBytes"`
	Class         Class  `json:"class"`
	Node          string `json:"node"`
	// Claim and PersistentVolume are empty when the caller did not tell them.
	Claim            Claim  `json:"claim,omitzero"`
	PersistentVolume string `json:"persistentVolume,omitempty"`
	// Quota is how the capacity is enforced, nil if it is advisory.
	Quota   *Quota    `json:"quota,omitempty"`
	Created time.Time `json:"created"`
}

// Quota is how a filesystem knows a volume whose capacity it enforces.
type Quota struct {
	Kind quota.Kind `json:"kind"`
	ID   quota.ID   `json:"id"`
}

// Claim is the PersistentVolumeClaim that a volume was made for.
type Claim struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// claimPattern is what Kubernetes allows in names of claims and namespaces, and
// harmless as the name of a file.
var claimPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// String is "namespace/name", or "" if the claim is unknown.
func (c Claim) String() string {
	if c == (Claim{}) {
		return ""
	}
	return c.Namespace + "/" + c.Name
}

// isPlain tells whether Kubernetes can have such a claim.
func (c Claim) isPlain() bool {
	return claimPattern.MatchString(c.Namespace) && claimPattern.MatchString(c.Name)
}

// readRecord reads the record in a volume's directory.
func (d *dir) readRecord(id VolumeID) (Record, error) {
	r, err := d.readAnyRecord()
	if err == nil && r.ID != id.String() {
		return Record{}, fmt.Errorf("its %s belongs to volume %q", recordFile, r.ID)
	}
	return r, err
}

// readAnyRecord reads the record of whatever volume a directory holds.
func (d *dir) readAnyRecord() (Record, error) {
	data, err := d.readFile(recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("its %s is gone", recordFile)
	}
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("its %s cannot be read: %w", recordFile, err)
	}
	if r.Version != recordVersion {
		return Record{}, fmt.Errorf("its %s has version %d, this hostdir knows version %d", recordFile, r.Version, recordVersion)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("its %s is damaged: %w", recordFile, err)
	}
	return r, nil
}

// maxCapacity is what a base directory promises at most, to all its volumes. A
// record that says more is damaged, and hundreds of them still add up.
const maxCapacity = 1 << 55

// check returns an error for what no hostdir has written: parts of a record become
// names of files, limits and sums.
func (r Record) check() error {
	if _, err := ParseVolumeID(r.ID); err != nil {
		return err
	}
	if r.CapacityBytes <= 0 || r.CapacityBytes > maxCapacity {
		return fmt.Errorf("no volume has a capacity of %d bytes", r.CapacityBytes)
	}
	if r.Claim != (Claim{}) && !r.Claim.isPlain() {
		return fmt.Errorf("%q in namespace %q is not a claim's name", r.Claim.Name, r.Claim.Namespace)
	}
	if r.Class.TrashTTL != "" {
		if _, err := parseTTL(r.Class.TrashTTL); err != nil {
			return fmt.Errorf("its trashTTL %q %w", r.Class.TrashTTL, err)
		}
	}
	if r.Quota != nil && (r.Quota.ID == 0 || !slices.Contains([]quota.Kind{quota.XFS, quota.Ext4, quota.Btrfs}, r.Quota.Kind)) {
		return fmt.Errorf("no volume has a quota of kind %q with the ID %d", r.Quota.Kind, r.Quota.ID)
	}
	return nil
}

const recordNewFile = ".volume.json.new"

// replaceRecord writes a record in place of another. After a crash one of the
// two is there, whole.
func (d *dir) replaceRecord(r Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	return d.replaceFile(recordNewFile, recordFile, data)
}

func (d *dir) writeRecord(file string, r Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	return d.writeFile(file, data)
}

func (r Record) encode() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}
