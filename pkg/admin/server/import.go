package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

// handleImports serves orders about directories that others have made.
func (s *Server) handleImports(mux *http.ServeMux) {
	mux.HandleFunc("GET /imports", func(w http.ResponseWriter, r *http.Request) {
		answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(s.imports(r.Context())) })(w, r)
	})
	mux.HandleFunc("POST /import/plan", carryOut(s.importOrder(s.Store.PlanImport)))
	mux.HandleFunc("POST /import", carryOut(s.importOrder(s.Store.Import)))
	mux.HandleFunc("POST /import/undo", carryOut(s.undoImport))
	mux.HandleFunc("POST /import/finish", carryOut(s.finishImport))
}

func (s *Server) importOrder(do func(context.Context, store.ImportRequest, func(*os.File) error) (store.Import, error)) func(context.Context, admin.ImportOrder) (admin.Import, error) {
	return func(ctx context.Context, order admin.ImportOrder) (admin.Import, error) {
		class, err := config.ParseClass(order.Parameters)
		if err != nil {
			return admin.Import{}, err
		}
		class.Pool = order.Parameters["pool"] // none is a choice too
		i, err := do(ctx, store.ImportRequest{
			Name: order.Volume, Source: order.Source, CapacityBytes: order.CapacityBytes, Class: class, MountOptions: order.MountOptions,
			Claim: store.Claim(order.Claim), PersistentVolume: order.PersistentVolume, Old: order.Old,
		}, s.checkApart)
		return s.imported(i), err
	}
}

func (s *Server) undoImport(ctx context.Context, order admin.ImportUndo) (admin.Import, error) {
	i, err := s.Store.UndoImport(ctx, order.Volume, order.Keep, s.checkApart)
	return s.imported(i), err
}

func (s *Server) finishImport(ctx context.Context, order admin.VolumeRef) (admin.Import, error) {
	i, err := s.Store.FinishImport(ctx, order.Volume, s.checkApart)
	return s.imported(i), err
}

// checkApart refuses a directory that is mounted anywhere, or that anything is mounted
// in.
func (s *Server) checkApart(data *os.File) error {
	if err := s.CheckUnused(data); err != nil {
		return err
	}
	mounts, err := s.Mounts(data)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Within != "" {
			return fmt.Errorf("%w: %s is mounted in it: unmount that", errdefs.ErrInUse, m.Target)
		}
	}
	return nil
}

func (s *Server) imports(ctx context.Context) admin.Imports {
	all := admin.Imports{Imports: []admin.Import{}}
	for _, i := range s.Store.Imports(ctx) {
		all.Imports = append(all.Imports, s.imported(i))
	}
	return all
}

func (s *Server) imported(i store.Import) admin.Import {
	found := admin.Import{
		Adoptable: s.adoptable(store.Volume{Record: i.Record, Path: i.Path}),
		Volume:    i.Name, Pool: i.Class.Pool, Disk: i.Disk, Source: i.Source, Method: string(i.Method), State: admin.ImportState(i.State),
		Files: i.Size.Files, Bytes: i.Size.Bytes, Sockets: i.Size.Sockets, Quota: admin.QuotaKind(i.Enforced), Old: i.Old, Order: i.Order,
	}
	found.Progress = progress(i.Progress)
	if i.Trouble != nil {
		found.Trouble = i.Trouble.Error()
	}
	return found
}

// progress is nil if nothing is known.
func progress(p *store.Progress) *admin.Progress {
	if p == nil {
		return nil
	}
	return &admin.Progress{Phase: string(p.Phase), Files: p.Files, Bytes: p.Bytes, TotalFiles: p.TotalFiles, TotalBytes: p.TotalBytes}
}
