package program

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	// maxConnections is more than kubelet and some Prometheus servers need, and
	// costs 2 MiB if each takes all it can.
	maxConnections = 64
	// probeTime is how long a check may take: as long as kubelet waits for it.
	probeTime = 5 * time.Second
)

// ServeHealth answers /healthz, which should fail if a restart may help, and
// /readyz, until the context ends. What else the program answers, by path, is in
// others: large answers, which are given one at a time.
//
// Every pod of the cluster may reach the port. So each connection, each answer
// and the number of both are bounded, and the probes never wait for the others.
func ServeHealth(ctx context.Context, listener net.Listener, healthy, ready func(ctx context.Context) error, others map[string]http.Handler) error {
	mux := http.NewServeMux()
	turns := newTurns()
	for path, handler := range others {
		mux.Handle("GET "+path, turns.take(handler))
	}
	mux.Handle("GET /healthz", answer(healthy))
	mux.Handle("GET /readyz", answer(ready))
	server := &http.Server{
		Handler:        mux,
		MaxHeaderBytes: 16 << 10, // nobody sends more than a few
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   2 * probeTime,
		IdleTimeout:    2 * time.Minute, // Prometheus asks again within one
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(newCrowd(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(check func(ctx context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		if err := check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	}
}
