// Package server answers operators: what the running node plugin has, out of the
// store, and their orders, which it carries out under the locks of its calls.
package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/pkg/store"
)

// Server answers operators.
type Server struct {
	Store *store.Store
	// Version is the program's, which every answer carries.
	Version string
	// Driver is the CSI driver's name, NodeLabels those of the node in which
	// its volumes are accessible: what a PersistentVolume must say.
	Driver     string
	NodeLabels map[string]string
	// Mounts reads the node's mounts, for a check.
	Mounts store.MountTable
	// CheckUnused refuses the data of a volume that is mounted anywhere.
	CheckUnused func(data *os.File) error
}

// Serve answers at the Unix socket, which is root's alone, until the context
// ends.
func (s *Server) Serve(ctx context.Context, socketPath string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /disks", answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(disks(s.Store)) }))
	mux.HandleFunc("GET /volumes", answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(volumes(s.Store)) }))
	mux.HandleFunc("GET /snapshots", answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(snapshots(ctx, s.Store)) }))
	mux.HandleFunc("GET /trash", answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(trash(s.Store)) }))
	mux.HandleFunc("POST /undelete", carryOut(s.undelete))
	mux.HandleFunc("POST /purge", carryOut(s.purge))
	mux.HandleFunc("POST /volumes/pv", carryOut(s.adoptables))
	s.handleDeletion(mux)
	handleDiskActions(mux, s.Store)
	s.handleImports(mux)
	mux.HandleFunc("GET /check", s.check)
	mux.HandleFunc("POST /repair", carryOut(s.repair))
	// No time is set for the rest: an order may take long, and is root's.
	server := &http.Server{Handler: s.signed(mux), MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	defer server.Close()
	return socket.Serve(ctx, socketPath, server)
}

// signed adds the version to every answer, those to unknown questions too.
func (s *Server) signed(answers http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(admin.VersionHeader, s.Version)
		answers.ServeHTTP(w, r)
	})
}

func answer(write func(w io.Writer) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := write(w); err != nil {
			klog.FromContext(r.Context()).V(4).Info("an operator's question was not answered in full", "path", r.URL.Path, "reason", err.Error())
		}
	}
}

// maxOrder bounds what an order may be, in bytes.
const maxOrder = 64 << 10

// carryOut answers an order that changes something: with what was done, or why
// not.
func carryOut[Order, Done any](do func(ctx context.Context, order Order) (Done, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var order Order
		orders := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		orders.DisallowUnknownFields()
		if err := orders.Decode(&order); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		done, err := do(r.Context(), order)
		if err != nil {
			http.Error(w, err.Error(), admin.Refused)
			return
		}
		answer(func(w io.Writer) error { return json.NewEncoder(w).Encode(done) })(w, r)
	}
}
