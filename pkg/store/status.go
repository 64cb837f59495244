package store

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/pkg/quota"
)

// Status is the state of one base directory.
type Status struct {
	Pool string
	Path string
	// UUID is the marker's, empty if it was never read.
	UUID    string
	Volumes int
	// PromisedBytes is what its volumes were promised.
	PromisedBytes int64
	// Quota is how volumes made here are limited; WhyUnlimited is why not, if
	// its kind is None.
	Quota        quota.Kind
	WhyUnlimited error
	// Shortened counts the deleted volumes that were purged before their time
	// because the pool ran full, since the start of the program.
	Shortened int
	// Err is why the base directory cannot be used, nil while it can, and
	// Refusal of which kind it is.
	Err     error
	Refusal Refusal

	// Room is what was found on its filesystem, zero if it cannot be used.
	Room Room
}

// Room is what a base directory has and can give.
type Room struct {
	// SizeBytes and FreeBytes are the filesystem's.
	SizeBytes, FreeBytes int64
	// AvailableBytes is what can still be promised. Base directories on one
	// filesystem share it.
	AvailableBytes int64
	// Refuses is why nothing can be promised, however much is free: nil, or
	// that the filesystem is read-only or has no free inodes.
	Refuses error
	// Trash is how many deleted volumes were not purged yet, Stuck how many of
	// them could not be when that was tried.
	Trash, Stuck int
}

// Status tells the state of every base directory on this node, from a fresh
// look at each.
func (s *Store) Status() []Status {
	var all []Status
	for _, b := range s.snapshot() {
		status := b.status()
		if status.Err == nil {
			status.Room, status.Err = s.lookAt(b)
		}
		status.Refusal = refusalOf(status.Err)
		all = append(all, status)
	}
	return all
}

// lookAt finds out what room a base directory has.
func (s *Store) lookAt(b *base) (r Room, err error) {
	d, err := b.open()
	if err != nil {
		return Room{}, err
	}
	defer d.close()
	room, err := d.room()
	if err != nil {
		return Room{}, err
	}
	promise, refuses := s.roomOn(b)
	return Room{
		SizeBytes:      room.size,
		FreeBytes:      room.free,
		AvailableBytes: promise.bytes,
		Refuses:        refuses,
		Trash:          d.countTrash(),
		Stuck:          b.countStuck(),
	}, nil
}

// countTrash leaves it to the purge to say what is wrong with the trash.
func (d *dir) countTrash() int {
	all, _ := d.discarded()
	return len(all)
}

// Volumes lists the volumes on this node's healthy base directories, by ID.
func (s *Store) Volumes() []Volume {
	var all []Volume
	for _, b := range s.snapshot() {
		all = append(all, b.list()...)
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// VolumeStatus is a volume and what its base directory makes of it.
type VolumeStatus struct {
	*Volume
	// Pool is the one that the volume's base directory is in today.
	Pool string
	// Enforced tells whether the filesystem holds the volume to its capacity.
	Enforced bool
}

// VolumeStatus tells of the volumes on this node's healthy base directories, by
// claim.
func (s *Store) VolumeStatus() []VolumeStatus {
	var all []VolumeStatus
	for _, b := range s.snapshot() {
		all = append(all, b.volumeStatus()...)
	}
	slices.SortFunc(all, func(a, b VolumeStatus) int {
		return cmp.Or(
			strings.Compare(a.Claim.Namespace, b.Claim.Namespace),
			strings.Compare(a.Claim.Name, b.Claim.Name),
			strings.Compare(a.ID, b.ID))
	})
	return all
}

// ConfigError tells why the configuration in the file is not in force, "" if it
// is.
func (s *Store) ConfigError() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.configErr
}

func (b *base) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{
		Pool: b.pool.Name, Path: b.path, UUID: b.uuid,
		Volumes: len(b.volumes), PromisedBytes: b.promised,
		Quota: b.limits.Kind(), WhyUnlimited: b.whyUnlimited,
		Shortened: b.shortened,
		Err:       b.broken,
	}
}

func (b *base) list() []Volume {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil
	}
	all := make([]Volume, 0, len(b.volumes))
	for _, v := range b.volumes {
		all = append(all, *v)
	}
	return all
}

func (b *base) volumeStatus() []VolumeStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil
	}
	all := make([]VolumeStatus, 0, len(b.volumes))
	for _, v := range b.volumes {
		enforced := v.Quota != nil && v.Quota.Kind == b.limits.Kind()
		all = append(all, VolumeStatus{Volume: v, Pool: b.pool.Name, Enforced: enforced})
	}
	return all
}
