package server

import (
	"context"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

func trash(s *store.Store) admin.Trash {
	t := admin.Trash{Volumes: []admin.DeletedVolume{}}
	for _, d := range s.Trash() {
		t.Volumes = append(t.Volumes, deletedVolume(d))
	}
	return t
}

func deletedVolume(d store.DeletedVolume) admin.DeletedVolume {
	v := admin.DeletedVolume{Entry: d.Entry, Pool: d.Pool, Path: d.Path, UsedBytes: d.UsedBytes}
	if r := d.Record; r != nil {
		v.ID, v.Name, v.CapacityBytes, v.Claim = r.ID, r.Name, r.CapacityBytes, claimOrNil(r.Claim)
	}
	if !d.Deleted.IsZero() {
		v.Deleted = &d.Deleted
	}
	if !d.PurgeAt.IsZero() {
		v.PurgeAt = &d.PurgeAt
	}
	if d.PurgeErr != nil {
		v.PurgeError = d.PurgeErr.Error()
	}
	return v
}

func claimOrNil(c store.Claim) *admin.Claim {
	if c == (store.Claim{}) {
		return nil
	}
	return (*admin.Claim)(&c)
}

func (s *Server) purge(ctx context.Context, order admin.VolumeRef) (admin.DeletedVolume, error) {
	d, err := s.Store.Purge(ctx, order.Volume)
	return deletedVolume(d), err
}
