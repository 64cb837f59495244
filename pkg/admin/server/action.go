package server

import (
	"context"
	"net/http"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/store"
)

// handleDiskActions serves what an operator decides about a disk.
func handleDiskActions(mux *http.ServeMux, s *store.Store) {
	for _, action := range []disk.Action{disk.Init, disk.Accept} {
		mux.HandleFunc("POST "+admin.DiskOrderPath(admin.DiskOrder(action))+"/plan", carryOut(func(ctx context.Context, a admin.DiskAction) (admin.DiskPlan, error) {
			p, err := s.Plan(ctx, action, a.Path)
			return admin.DiskPlan{Path: p.Path, Was: p.Was, Found: p.Found, Effect: p.Effect, Token: p.Token}, err
		}))
		mux.HandleFunc("POST "+admin.DiskOrderPath(admin.DiskOrder(action)), carryOut(func(ctx context.Context, a admin.DiskAction) (admin.DiskDone, error) {
			done, err := s.Act(ctx, action, a.Path, a.Token)
			if err != nil {
				return admin.DiskDone{}, err
			}
			d := admin.DiskDone{Path: done.Path, UUID: done.UUID, Volumes: done.Volumes}
			if done.PersistErr != nil {
				d.Warning = done.PersistErr.Error()
			}
			return d, nil
		}))
	}
	for _, on := range []bool{true, false} {
		mux.HandleFunc("POST "+admin.CordonPath(on), carryOut(func(ctx context.Context, a admin.DiskAction) (admin.Cordoned, error) {
			why, err := s.Cordon(ctx, a.Path, on)
			if err != nil || why == nil {
				return admin.Cordoned{}, err
			}
			return admin.Cordoned{Why: why.Error()}, nil
		}))
	}
}
