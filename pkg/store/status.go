package store

import (
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
	// Quota is how volumes made here are limited.
	Quota quota.Kind
	// Err is why the base directory cannot be used, nil while it can.
	Err error
}

// Status tells the state of every base directory on this node.
func (s *Store) Status() []Status {
	var all []Status
	for _, b := range s.snapshot() {
		all = append(all, b.status())
	}
	return all
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

func (b *base) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{Pool: b.pool.Name, Path: b.path, UUID: b.uuid, Volumes: len(b.volumes), Quota: b.limits.Kind(), Err: b.broken}
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
