package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"
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
	Claim            Claim     `json:"claim,omitzero"`
	PersistentVolume string    `json:"persistentVolume,omitempty"`
	Created          time.Time `json:"created"`
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

// readRecord reads the record in a volume's directory.
func (d *dir) readRecord(id VolumeID) (Record, error) {
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
	if r.ID != id.String() {
		return Record{}, fmt.Errorf("its %s belongs to volume %q", recordFile, r.ID)
	}
	return r, nil
}
