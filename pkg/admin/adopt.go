package admin

import (
	"context"
	"fmt"

	"github.com/hostdir/hostdir/pkg/config"
)

// Adoptable is a volume with what a PersistentVolume needs to adopt it.
type Adoptable struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	// PersistentVolume is the name of the one that it was made for.
	PersistentVolume string `json:"persistentVolume"`
	// Claim is the PersistentVolumeClaim that it was made for, nil if that is not
	// known. It may have been bound to another one since.
	Claim         *Claim   `json:"claim,omitempty"`
	CapacityBytes int64    `json:"capacityBytes"`
	MountOptions  []string `json:"mountOptions,omitempty"`
	// AccessModes are those that the claim asked for, none if the record is older than
	// that they are kept.
	AccessModes []string `json:"accessModes,omitempty"`
	// Class is what the StorageClass said. Its name is empty if its parameters did not
	// say that.
	Class config.Class `json:"class"`
	// Attributes are those of the PersistentVolume's CSI source.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Warnings are what a person has to know before it is adopted.
	Warnings   []string          `json:"warnings,omitempty"`
	Driver     string            `json:"driver"`
	NodeLabels map[string]string `json:"nodeLabels"`
}

// Adoptables is the answer to POST /volumes/pv.
type Adoptables struct {
	Volumes []Adoptable `json:"volumes"`
	LeftOut []LeftOut   `json:"leftOut,omitempty"`
}

// LeftOut is a volume of which only a person can say what is to become of it.
type LeftOut struct {
	// Adoptable is no more than ID and Path if the volume's record cannot be read.
	Adoptable
	Why string `json:"why"`
	// Quarantine is true if its record cannot be read.
	Quarantine bool `json:"quarantine,omitempty"`
}

// String is for people.
func (l LeftOut) String() string {
	return fmt.Sprintf("volume %s at %s: %s", l.ID, l.Path, l.Why)
}

// Adoptables asks what the PersistentVolume of a volume must say, or with "" those
// of all volumes that can be adopted by their claims without a second thought.
func (c *Client) Adoptables(ctx context.Context, ref string) (a Adoptables, err error) {
	err = c.post(ctx, "/volumes/pv", VolumeRef{ref}, &a)
	return a, err
}
