package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/errdefs"
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
	Name          string       `json:"name"`
	CapacityBytes int64        `json:"capacityBytes"`
	Class         config.Class `json:"class"`
	// MountOptions are those that the class asked for.
	MountOptions []string `json:"mountOptions,omitempty"`
	// AccessModes are the claim's, in Kubernetes' words.
	AccessModes []string `json:"accessModes,omitempty"`
	Node        string   `json:"node"`
	// Claim and PersistentVolume are empty when the caller did not say them.
	Claim            Claim  `json:"claim,omitzero"`
	PersistentVolume string `json:"persistentVolume,omitempty"`
	// Quota is how the capacity is enforced, nil if it is advisory.
	Quota   *Quota    `json:"quota,omitempty"`
	Created time.Time `json:"created"`
	// Imported is the directory that the volume was imported from, "" for one that was
	// made here.
	Imported string `json:"imported,omitempty"`
	// Source is the ID of the snapshot or volume that it began as a copy of, Origin that of
	// the volume with whose descendants it shares blocks, "" if it has all for itself.
	Source string `json:"source,omitempty"`
	Origin string `json:"origin,omitempty"`
	// Subvolume is the data's ID where it is a btrfs subvolume that no quota limits.
	Subvolume quota.ID `json:"subvolume,omitempty"`

	// Extra are the fields that this version does not know. They are kept: a
	// newer one has written them, and may be back tomorrow.
	Extra map[string]json.RawMessage `json:"-"`
}

// Quota is how a filesystem knows a volume whose capacity it enforces.
type Quota struct {
	Kind quota.Kind `json:"kind"`
	ID   quota.ID   `json:"id"`
	// Inodes is how many files and directories the volume may hold, 0 where that
	// is not limited, or was not written down.
	Inodes int64 `json:"inodes,omitempty"`
}

// same reports whether a filesystem counts for both alike.
func (q *Quota) same(other *Quota) bool {
	return q != nil && other != nil && q.Kind == other.Kind && q.ID == other.ID
}

// subvolume is the ID of the btrfs subvolume that the data is, 0 if it is none.
func (r Record) subvolume() quota.ID {
	if r.Quota != nil && r.Quota.Kind == quota.Btrfs {
		return r.Quota.ID
	}
	return r.Subvolume
}

// plainRecord is a Record without its methods.
type plainRecord Record

// knownFields are the names of a Record's fields in JSON.
var knownFields = func() []string {
	var names []string
	for field := range reflect.TypeFor[Record]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

// UnmarshalJSON implements json.Unmarshaler. Almost all records hold known fields
// only, and each call reads one: they are parsed once.
func (r *Record) UnmarshalJSON(data []byte) error {
	*r = Record{}
	known := json.NewDecoder(bytes.NewReader(data))
	known.DisallowUnknownFields()
	if known.Decode((*plainRecord)(r)) == nil && len(bytes.TrimSpace(data[known.InputOffset():])) == 0 {
		return nil
	}
	*r = Record{}
	if err := json.Unmarshal(data, (*plainRecord)(r)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		return slices.ContainsFunc(knownFields, func(known string) bool { return strings.EqualFold(name, known) })
	})
	if len(all) > 0 {
		r.Extra = all
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (r Record) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(plainRecord(r))
	if err != nil || len(r.Extra) == 0 {
		return data, err
	}
	extra, err := json.Marshal(r.Extra)
	if err != nil {
		return nil, err
	}
	return slices.Concat(data[:len(data)-1], []byte(","), extra[1:]), nil
}

// Claim is the PersistentVolumeClaim that a volume was made for.
type Claim struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

var claimPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// isClaimName reports whether Kubernetes allows s as the name of a claim or namespace,
// which is harmless as the name of a file.
func isClaimName(s string) bool { return len(s) <= 253 && claimPattern.MatchString(s) }

// String is "namespace/name", or "" if the claim is unknown.
func (c Claim) String() string {
	if c == (Claim{}) {
		return ""
	}
	return c.Namespace + "/" + c.Name
}

// ParseClaim reads "namespace/name".
func ParseClaim(s string) (Claim, error) {
	namespace, name, _ := strings.Cut(s, "/")
	if c := (Claim{namespace, name}); c.isPlain() {
		return c, nil
	}
	return Claim{}, fmt.Errorf("%w: %q is not a claim as NAMESPACE/NAME", errdefs.ErrInvalid, s)
}

// isPlain reports whether Kubernetes can have such a claim.
func (c Claim) isPlain() bool {
	return isClaimName(c.Namespace) && isClaimName(c.Name)
}

// readRecord reads the record in a volume's directory.
func readRecord(d *dir.Dir, id VolumeID) (Record, error) {
	r, err := readAnyRecord(d)
	if err == nil && r.ID != id.String() {
		return Record{}, fmt.Errorf("its %s belongs to volume %q", recordFile, r.ID)
	}
	return r, err
}

// readAnyRecord reads the record of whatever volume a directory holds.
func readAnyRecord(d *dir.Dir) (Record, error) {
	data, err := d.ReadFile(recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("its %s is gone", recordFile)
	}
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := r.UnmarshalJSON(data); err != nil { // json.Unmarshal would parse it once more
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

// maxCapacity is what a disk gives at most, to all its volumes. A
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
	if r.Class.Name != "" {
		if _, err := config.ParseClassName(r.Class.Name); err != nil {
			return fmt.Errorf("its class %q %w", r.Class.Name, err)
		}
	}
	if r.Class.Inodes != "" {
		if _, err := config.ParseInodes(r.Class.Inodes); err != nil {
			return fmt.Errorf("its inodes %q %w", r.Class.Inodes, err)
		}
	}
	if r.Class.TrashTTL != "" {
		if _, err := config.ParseTTL(r.Class.TrashTTL); err != nil {
			return fmt.Errorf("its trashTTL %q %w", r.Class.TrashTTL, err)
		}
	}
	if p := r.Class.Reuse; p != config.ReuseNever {
		if _, err := config.ParseReuse(string(p)); err != nil {
			return fmt.Errorf("its reuse %q %w", p, err)
		}
	}
	if p := r.Class.OnNodeLoss; p != config.NodeLossKeep {
		if _, err := config.ParseNodeLoss(string(p)); err != nil {
			return fmt.Errorf("its onNodeLoss %q %w", p, err)
		}
	}
	if r.Quota != nil && (r.Quota.ID == 0 || r.Quota.Inodes < 0 || !slices.Contains([]quota.Kind{quota.XFS, quota.Ext4, quota.Btrfs}, r.Quota.Kind)) {
		return fmt.Errorf("no volume has a quota of kind %q with the ID %d", r.Quota.Kind, r.Quota.ID)
	}
	return nil
}

const recordNewFile = ".volume.json.new"

// replaceRecord writes a record in place of another. After a crash one of the
// two is there, whole.
func replaceRecord(d *dir.Dir, r Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	return d.ReplaceFile(recordNewFile, recordFile, data)
}

func writeRecord(d *dir.Dir, file string, r Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	return d.WriteFile(file, data)
}

func (r Record) encode() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}
