package program

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// ServeHealth answers /healthz, which should fail if a restart may help, and
// /readyz, until the context ends. What else the program answers, by path, is in
// others.
func ServeHealth(ctx context.Context, listener net.Listener, healthy, ready func(ctx context.Context) error, others map[string]http.Handler) error {
	mux := http.NewServeMux()
	for path, handler := range others {
		mux.Handle("GET "+path, handler)
	}
	mux.Handle("GET /healthz", answer(healthy))
	mux.Handle("GET /readyz", answer(ready))
	server := &http.Server{
		Handler: mux,
		// Every pod of the cluster may reach this port, and nobody sends more
		// than a few headers.
		MaxHeaderBytes: 16 << 10,
		ReadTimeout:    10 * time.Second,
		WriteTimeout:   time.Minute, // Prometheus, of ten thousand volumes
		IdleTimeout:    2 * time.Minute,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(check func(ctx context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	}
}
