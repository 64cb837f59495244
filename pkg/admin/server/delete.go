package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

func (s *Server) handleDeletion(mux *http.ServeMux) {
	mux.HandleFunc("POST /volumes/delete/plan", carryOut(s.planDeletion))
	mux.HandleFunc("POST /volumes/delete", carryOut(s.delete))
}

func (s *Server) planDeletion(ctx context.Context, order admin.VolumeRef) (admin.Deletion, error) {
	v, err := s.Store.FindVolume(order.Volume)
	if errors.Is(err, errdefs.ErrNotFound) {
		deleted, failed := s.deleted(ctx, order.Volume)
		if failed != nil || len(deleted) > 0 {
			return admin.Deletion{Deleted: deleted}, failed
		}
	}
	if err != nil {
		return admin.Deletion{}, err
	}
	err = s.Store.ReadData(ctx, v.ID, s.CheckUnused)
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) { // what is gone is not mounted either
		return admin.Deletion{}, err
	}
	return admin.Deletion{Volume: volume(v), TrashTTL: v.TrashTTL}, nil
}

// deleted returns the deleted volumes of a name. The order that deleted them may
// have met a crash before it was synced.
func (s *Server) deleted(ctx context.Context, ref string) ([]admin.DeletedVolume, error) {
	var all []admin.DeletedVolume
	for _, d := range s.Store.FindDeleted(ref) {
		all = append(all, deletedVolume(d))
		if d.Record == nil {
			continue
		}
		if err := s.Store.SyncDeleted(ctx, d.Record.ID); err != nil {
			return nil, fmt.Errorf("%s: it is in the trash, but a power cut may undo that: %w", d.Path, err)
		}
	}
	return all, nil
}

// delete takes an ID alone: whatever else a person has called the volume may be
// another one's by now.
func (s *Server) delete(ctx context.Context, order admin.VolumeRef) (admin.DeletedVolume, error) {
	if _, err := store.ParseVolumeID(order.Volume); err != nil {
		return admin.DeletedVolume{}, err
	}
	switch err := s.Store.Delete(ctx, order.Volume, s.CheckUnused); {
	case err == nil:
		klog.FromContext(ctx).Info("volume deleted, as an operator has asked", "volumeID", order.Volume)
	case !errors.Is(err, errdefs.ErrNotFound): // somebody else was faster
		return admin.DeletedVolume{}, err
	}
	deleted := s.Store.FindDeleted(order.Volume)
	if len(deleted) == 0 {
		return admin.DeletedVolume{ID: order.Volume}, nil
	}
	return deletedVolume(deleted[len(deleted)-1]), nil
}
