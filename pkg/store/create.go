package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// DefaultCapacity is the size of a volume for which none is asked.
const DefaultCapacity = 1 << 30

// CreateRequest asks for a volume.
type CreateRequest struct {
	// Name identifies the request: the same name again is the same volume.
	Name string
	// RequiredBytes and LimitBytes are the capacity range, 0 for no bound.
	RequiredBytes int64
	LimitBytes    int64
	Class         Class
	// Claim and PersistentVolume may be empty.
	Claim            Claim
	PersistentVolume string
}

// Create makes a volume, or returns the one that the same request has made
// before. It returns ErrIncompatible if the name belongs to a volume that does
// not satisfy this request, and ErrNoSpace if another node should be tried;
// nothing is left behind then.
func (s *Store) Create(ctx context.Context, req CreateRequest) (Volume, error) {
	name, capacity, err := req.check()
	if err != nil {
		return Volume{}, err
	}
	unlock, err := s.locks.lock(name)
	if err != nil {
		return Volume{}, err
	}
	defer unlock()

	if v, err := s.existing(ctx, name); err != nil {
		return Volume{}, err
	} else if v != nil {
		return *v, req.compatible(v)
	}
	candidates, err := s.candidates(req.Class, capacity)
	if err != nil {
		return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
	}
	for _, b := range candidates {
		var v Volume
		v, err = s.createIn(ctx, b, name, Record{
			Version:          recordVersion,
			Name:             req.Name,
			CapacityBytes:    capacity,
			Class:            req.Class,
			Node:             s.node,
			Claim:            req.Claim,
			PersistentVolume: req.PersistentVolume,
			Created:          time.Now().UTC(),
		})
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, errdefs.ErrNoSpace) {
			break
		}
	}
	return Volume{}, fmt.Errorf("volume %s%s: %w", req.Name, req.forClaim(), err)
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
	case r.RequiredBytes > 0:
		return name, r.RequiredBytes, nil
	case r.LimitBytes > 0:
		return name, min(r.LimitBytes, DefaultCapacity), nil
	default:
		return name, DefaultCapacity, nil
	}
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
	for _, b := range s.snapshot() {
		if b.volume(name) == nil {
			continue
		}
		id := VolumeID{Base: b.status().UUID, Name: name}
		l, err := s.locate(id)
		if errors.Is(err, errdefs.ErrNotFound) { // somebody removed it by hand
			s.forget(ctx, id)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", name, err)
		}
		defer l.close()
		// A crash may have kept it from being synced.
		if err := l.pool.syncSub(volumesDir); err != nil {
			return nil, fmt.Errorf("volume %s: %w", name, unreadable(err))
		}
		v := l.volume()
		return &v, nil
	}
	return nil, nil
}

// compatible returns ErrIncompatible unless v is what r asks for.
func (r CreateRequest) compatible(v *Volume) error {
	if v.CapacityBytes < r.RequiredBytes || r.LimitBytes > 0 && v.CapacityBytes > r.LimitBytes {
		return fmt.Errorf("volume %s: %w: it has %d bytes, asked are %d to %d", v.ID, errdefs.ErrIncompatible, v.CapacityBytes, r.RequiredBytes, r.LimitBytes)
	}
	if v.Class != r.Class {
		return fmt.Errorf("volume %s: %w: it was made with %+v, asked is %+v", v.ID, errdefs.ErrIncompatible, v.Class, r.Class)
	}
	return nil
}

// createIn makes a volume in a base directory if that can promise its capacity.
func (s *Store) createIn(ctx context.Context, b *base, name string, r Record) (Volume, error) {
	done, err := s.promise(b, r.CapacityBytes)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	defer done()
	return b.create(ctx, s.projects, name, r)
}

// create makes a volume in this base directory: built aside, synced, renamed.
func (b *base) create(ctx context.Context, projects *projectIDs, name string, r Record) (Volume, error) {
	pool, err := b.open()
	if err != nil {
		return Volume{}, fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	defer pool.close()
	volumes, err := pool.sub(volumesDir)
	if err != nil {
		return Volume{}, noSpace(err)
	}
	defer volumes.close()

	r.ID = VolumeID{Base: b.status().UUID, Name: name}.String()
	building := newPrefix + name
	err = b.clearAway(ctx, pool, volumes, building) // what a crash has left
	if err == nil {
		r.Quota, err = b.build(projects, pool, volumes, building, r)
	}
	if err == nil {
		err = volumes.commit(building, name)
	}
	if err != nil {
		// Only what this call made: build refuses a name that is taken.
		if undo := b.clearAway(context.WithoutCancel(ctx), pool, volumes, building); undo != nil {
			return Volume{}, fmt.Errorf("%w: %w; what was begun could not be removed: %w", errdefs.ErrBusy, err, undo)
		}
		return Volume{}, noSpace(err)
	}

	v := Volume{Record: r, Path: b.dataPath(name), Count: Count{At: r.Created}}
	b.setVolume(name, &v)
	b.links.Lock()
	defer b.links.Unlock()
	if err := pool.link(r.Claim, name); err != nil {
		klog.FromContext(ctx).Error(err, "no link under claims for this volume, the next start makes it", "volumeID", r.ID, "claim", r.Claim.String())
	}
	return v, nil
}

// build makes the volume's directory under a name that no scan takes for a
// volume. The record is on disk before the volume's ID gets limits, so that they
// are found again after a crash.
func (b *base) build(projects *projectIDs, pool, volumes *dir, building string, r Record) (*Quota, error) {
	if err := volumes.mkdir(building); err != nil {
		return nil, err
	}
	volume, err := volumes.sub(building)
	if err != nil {
		return nil, err
	}
	defer volume.close()
	q, done, err := b.makeData(projects, volume, r.Class)
	if err != nil {
		return nil, err
	}
	defer done()
	r.Quota = q
	if err := volume.writeRecord(recordFile, r); err != nil {
		return nil, err
	}
	data, err := volume.sub(dataDir)
	if err != nil {
		return nil, err
	}
	defer data.close()
	if q != nil {
		if err := b.setLimit(pool, data, r); err != nil {
			return nil, err
		}
	}
	// Mode after owner: chown(2) may clear bits of the mode.
	if err := data.wrap("fchown", ".", unix.Fchown(data.fd(), int(r.Class.UID), int(r.Class.GID))); err != nil {
		return nil, err
	}
	if err := data.wrap("fchmod", ".", unix.Fchmod(data.fd(), r.Class.mode())); err != nil {
		return nil, err
	}
	return q, errors.Join(data.sync(), volume.sync())
}

// commit gives a volume its name. Where that cannot be made durable, the volume
// goes back to the name it was built under.
func (d *dir) commit(building, name string) error {
	if err := d.renameTo(building, d, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s appeared while hostdir was running; restart hostdir's pod on this node, which reads it again: %w", d.path(name), err)
		}
		return err
	}
	err := d.sync()
	if err == nil {
		return nil
	}
	if undo := d.renameTo(name, d, building); undo != nil {
		return fmt.Errorf("%w: %w; nor could it be undone: %w", errdefs.ErrBusy, err, undo)
	}
	return err
}

// noSpaceErrnos are the ways in which a disk or a process is full or the disk
// does not take writes: reasons to try another disk or node.
var noSpaceErrnos = []error{
	unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EMLINK,
}

// noSpace makes an error of one of those kinds an ErrNoSpace. What a signal has
// interrupted, as some filesystems let it, is worth another try here.
func noSpace(err error) error {
	switch {
	case errors.Is(err, errdefs.ErrBusy): // something is left behind
		return err
	case errors.Is(err, unix.EINTR):
		return fmt.Errorf("%w: %w", errdefs.ErrBusy, err)
	case isOf(err, noSpaceErrnos):
		return fmt.Errorf("%w: %w", errdefs.ErrNoSpace, err)
	}
	return err
}

// unreadable makes an error that tells of the disk or the process, and nothing of
// the volume that was to be read, an ErrUnavailable.
func unreadable(err error) error {
	if errors.Is(err, unix.EINTR) || isOf(err, noSpaceErrnos) {
		return fmt.Errorf("%w: %w", errdefs.ErrUnavailable, err)
	}
	return err
}

func isOf(err error, errnos []error) bool {
	return slices.ContainsFunc(errnos, func(errno error) bool { return errors.Is(err, errno) })
}
