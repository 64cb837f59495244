package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/pkg/store"
)

// Serve answers at the Unix socket, which is root's alone, until the context
// ends.
func Serve(ctx context.Context, socketPath string, s *store.Store) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pools", func(w http.ResponseWriter, r *http.Request) { answer(w, r, pools(s)) })
	mux.HandleFunc("GET /volumes", func(w http.ResponseWriter, r *http.Request) { answer(w, r, volumes(s)) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer server.Close()
	return socket.Serve(ctx, socketPath, server)
}

func answer(w http.ResponseWriter, r *http.Request, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		klog.FromContext(r.Context()).V(4).Info("an operator's question was not answered in full", "path", r.URL.Path, "reason", err.Error())
	}
}
