package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/registration"
)

// serveHealth answers /healthz, which fails when the CSI socket does not
// answer and a restart may help, and /readyz, which fails until kubelet knows
// the driver. A disk that is absent fails neither.
func serveHealth(ctx context.Context, listener net.Listener, socketPath string, kubelet *registration.Registration) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		answer(w, driver.Probe(ctx, socketPath))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !kubelet.Registered() {
			answer(w, errors.New("kubelet has not registered the driver yet"))
			return
		}
		answer(w, nil)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}
