package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

const (
	// DefaultCapacity is the size of a volume for which none is asked.
	DefaultCapacity = 1 << 30
	// MinCapacity is what each volume gets: in less than that, a filesystem may not
	// have the blocks for a directory with a few files.
	MinCapacity = 1 << 20
	// slip is the size below which a request is no size: 500m is half a byte, of
	// which Kubernetes makes one, and who writes 10 means 10Gi.
	slip = 4 << 10
)

// CreateRequest asks for a volume.
type CreateRequest struct {
	// Name identifies the request: the same name again is the same volume.
	Name string
	// RequiredBytes and LimitBytes are the capacity range, 0 for no bound.
	RequiredBytes int64
	LimitBytes    int64
	Class         config.Class
	// Filesystem is the type that the volume's has to be, "" if any will do.
	Filesystem string
	// MountOptions are those of the class: whoever adopts the volume needs them.
	MountOptions []string
	// AccessModes are the claim's, in Kubernetes' words, kept for the same purpose.
	AccessModes []string
	// Claim and PersistentVolume may be empty.
	Claim            Claim
	PersistentVolume string
	// Source is the ID of the snapshot or volume that it begins as a copy of, "" if it
	// begins empty.
	Source string
}

// Create makes a volume, or returns the one that the same request has made
// before. It returns ErrConflict if the name belongs to a volume that does
// not satisfy this request, and ErrNoSpace if another node should be tried;
// nothing is left behind then.
func (s *Store) Create(ctx context.Context, req CreateRequest) (Volume, error) {
	name, capacity, err := req.check()
	if err != nil {
		return Volume{}, err
	}
	if req.Source != "" {
		v, err := s.createFrom(ctx, req, name)
		if err != nil {
			return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
		}
		return v, nil
	}
	unlock, err := s.locks.lock(name)
	if err != nil {
		return Volume{}, err
	}
	b := &build{store: s, name: name, unlock: unlock, record: req.record(s.node, capacity)}
	defer b.release()

	if v, err := s.existing(ctx, name); err != nil {
		return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
	} else if v != nil {
		return *v, s.compatible(req, v)
	}
	candidates, err := s.candidates(req.Class, req.Filesystem, capacity)
	if err != nil {
		return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
	}
	for i, d := range candidates {
		var v Volume
		if v, err = b.on(ctx, d, i == len(candidates)-1); err == nil {
			return v, nil
		}
		if !errors.Is(err, errdefs.ErrNoSpace) || ctx.Err() != nil {
			break
		}
	}
	return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
}

// record is that of the volume, before a disk is chosen.
func (r CreateRequest) record(node string, capacity int64) Record {
	return Record{
		Version:          recordVersion,
		Name:             r.Name,
		CapacityBytes:    capacity,
		Class:            r.Class,
		MountOptions:     r.MountOptions,
		AccessModes:      r.AccessModes,
		Node:             node,
		Claim:            r.Claim,
		PersistentVolume: r.PersistentVolume,
		Created:          time.Now().UTC(),
	}
}

// check returns the name of the volume's directory and its capacity.
func (r CreateRequest) check() (name string, capacity int64, err error) {
	name, err = directoryName(r.Name)
	if err != nil {
		return "", 0, err
	}
	if r.Claim != (Claim{}) && !r.Claim.isPlain() {
		return "", 0, fmt.Errorf("%w: %q in namespace %q is not a claim's name", errdefs.ErrInvalid, r.Claim.Name, r.Claim.Namespace)
	}
	switch {
	case r.RequiredBytes < 0 || r.LimitBytes < 0:
		return "", 0, fmt.Errorf("%w: the capacity range %d to %d has a negative bound", errdefs.ErrInvalid, r.RequiredBytes, r.LimitBytes)
	case r.LimitBytes > 0 && r.RequiredBytes > r.LimitBytes:
		return "", 0, fmt.Errorf("capacity %w: %d bytes are required, but at most %d allowed", errdefs.ErrOutOfRange, r.RequiredBytes, r.LimitBytes)
	}
	if r.RequiredBytes > 0 && r.RequiredBytes < slip {
		return "", 0, fmt.Errorf("%w: %d bytes are requested, which is surely a slip: write storage: 500Mi or 10Gi in the claim; without a suffix a number means bytes, and with m it means thousandths of one", errdefs.ErrInvalid, r.RequiredBytes)
	}
	if r.LimitBytes > 0 && r.LimitBytes < MinCapacity {
		return "", 0, fmt.Errorf("capacity %w: at most %d bytes are allowed, and no volume has less than %s", errdefs.ErrOutOfRange, r.LimitBytes, config.FormatSize(MinCapacity))
	}
	asked := cmp.Or(r.RequiredBytes, min(cmp.Or(r.LimitBytes, DefaultCapacity), DefaultCapacity))
	return name, max(asked, MinCapacity), nil
}

// rangeText is the capacity that is asked for, in messages.
func (r CreateRequest) rangeText() string {
	if r.LimitBytes > 0 {
		return fmt.Sprintf("%d to %d", r.RequiredBytes, r.LimitBytes)
	}
	return fmt.Sprintf("at least %d", r.RequiredBytes)
}

// forClaim says in messages whom the volume is for.
func (r CreateRequest) forClaim() string {
	if r.Claim == (Claim{}) {
		return ""
	}
	return " for claim " + r.Claim.String()
}

// existing returns the volume of this name, nil if there is none. The caller
// holds the name's lock.
func (s *Store) existing(ctx context.Context, name string) (*Volume, error) {
	if err := s.mayHave(name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	var having []*diskState
	for _, d := range s.disks {
		// One that is away counts until there is another in its place.
		x := s.slotAt(d.path)
		if away := x != nil && x.disk == nil; (away || d.retiredErr() == nil) && d.volume(name) != nil {
			having = append(having, d)
		}
	}
	s.mu.RUnlock()
	for _, d := range having {
		v, err := run(ctx, d, change, "a look at volume "+name, func() (*Volume, error) {
			v, err := d.find(d.volumeID(name))
			if errors.Is(err, errdefs.ErrNotFound) { // somebody removed it by hand
				d.forget(ctx, name)
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			defer v.close()
			// A crash may have kept it from being synced.
			if err := v.root.SyncSub(disk.VolumesDir); err != nil {
				return nil, unreadable(err)
			}
			found := v.volume()
			return &found, nil
		})
		if v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil
}

// mayHave returns an error while the volume may be on a disk that is being taken
// into use: made on another one, it would be there twice.
func (s *Store) mayHave(name string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range s.slots {
		switch {
		case x.names[name]:
			return unavailable(x.path, disk.Refuse(disk.Pending, "the volume is there, and the disk is being read: try again"))
		case x.names == nil && x.isComingUp():
			return unavailable(x.path, disk.Refuse(disk.Pending, "it has not been read yet, and the volume may be there: try again"))
		}
	}
	return nil
}

// compatible returns ErrConflict unless v is what r asks for.
func (s *Store) compatible(r CreateRequest, v *Volume) error {
	if v.CapacityBytes < r.RequiredBytes || r.LimitBytes > 0 && v.CapacityBytes > r.LimitBytes {
		return fmt.Errorf("volume %s: %w: it has %d bytes, requested are %s", v.ID, errdefs.ErrConflict, v.CapacityBytes, r.rangeText())
	}
	if v.Source != r.Source {
		return fmt.Errorf("volume %s: %w: it began as a copy of %q, now of %q", v.ID, errdefs.ErrConflict, v.Source, r.Source)
	}
	if v.Class != r.Class {
		return fmt.Errorf("volume %s: %w: it was made with the parameters %s, now they are %s", v.ID, errdefs.ErrConflict, v.Class, r.Class)
	}
	has, err := s.Filesystem(v.ID)
	if err != nil {
		return err
	}
	if err := CheckFilesystem(r.Filesystem, has); err != nil {
		return fmt.Errorf("volume %s: %w: %w", v.ID, errdefs.ErrConflict, err)
	}
	return nil
}
