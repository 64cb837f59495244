package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	report, err := s.Store.Check(r.Context(), s.Mounts)
	if err != nil {
		http.Error(w, err.Error(), admin.Refused)
		return
	}
	answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(admin.Check{Report: newReport(report)}) })(w, r)
}

func (s *Server) repair(ctx context.Context, _ admin.Repair) (admin.Check, error) {
	repaired, left, err := s.Store.Repair(ctx, s.Mounts)
	return admin.Check{Repaired: findings(repaired), Report: newReport(left)}, err
}

func newReport(r store.Report) admin.Report {
	return admin.Report{Disks: r.Disks, Volumes: r.Volumes, Findings: findings(r.Findings)}
}

func findings(found []store.Finding) []admin.Finding {
	if found == nil {
		return nil
	}
	all := make([]admin.Finding, 0, len(found))
	for _, f := range found {
		all = append(all, admin.Finding{
			Kind: string(f.Kind), Path: f.Path, VolumeID: f.VolumeID, Claim: admin.Claim(f.Claim),
			Problem: f.Problem, Remedy: f.Remedy, Repairable: f.Repairable, Failed: f.Failed,
		})
	}
	return all
}
