// Command hostdir is hostdir's node plugin. On each node it serves CSI's
// Identity, Controller and Node services on one socket, registers itself with
// kubelet, and answers health checks and scrapes. It needs no access to the
// Kubernetes API.
//
// Called with a command, it asks the plugin that runs beside it, or gives it an
// order: `hostdir disks`, `hostdir undelete`.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/admin/server"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/metrics"
	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/registration"
	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/pkg/store"
)

// version is set by the build.
var version = "dev"

func main() {
	os.Exit(newProgram(defaultOptions()).Main())
}

func newProgram(opts *options) *program.Program {
	p := &program.Program{
		Name:     "hostdir",
		Version:  version,
		Flags:    pflag.NewFlagSet("hostdir", pflag.ContinueOnError),
		Validate: opts.validate,
		Run:      func(ctx context.Context) error { return run(ctx, opts) },
		Commands: commands(),
	}
	opts.addFlags(p.Flags)
	return p
}

// run serves until the context ends or one of the servers fails. Health checks are
// answered at once; all else waits for its turn (see socket.WaitTurn).
func run(ctx context.Context, opts *options) error {
	if err := socket.MakeDir(opts.socketPath); err != nil {
		return err
	}
	tellFallbacks(ctx)
	health, err := net.Listen("tcp", opts.httpAddress)
	if err != nil {
		return err
	}
	p := &node{opts: opts, kubelet: &registration.Registration{DriverName: opts.driverName, Endpoint: opts.endpointForKubelet()}}
	return program.ServeAll(ctx, program.Servers{
		"health": func(ctx context.Context) error {
			return program.ServeHealth(ctx, health,
				func(ctx context.Context) error { return driver.Probe(ctx, opts.socketPath) },
				func(context.Context) error { return p.readiness() },
				map[string]http.Handler{"/metrics": p})
		},
		"plugin": p.serve,
	})
}

// node is what waits for its turn.
type node struct {
	opts    *options
	kubelet *registration.Registration
	figures atomic.Pointer[metrics.Metrics] // nil before its turn
}

func (p *node) serve(ctx context.Context) error {
	leave, err := socket.WaitTurn(ctx, p.opts.lockFile())
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer leave()
	mounts, err := mounter.New(p.opts.kubeletDir, mounter.NewBind(filepath.Join(filepath.Dir(p.opts.socketPath), "mounting")))
	if err != nil {
		return err
	}
	if err := mounts.CheckShared(); err != nil {
		klog.FromContext(ctx).Error(err, "no volume can be published")
	}
	volumes, err := store.Open(ctx, p.opts.nodeName, p.opts.config, p.opts.historyFile())
	if err != nil {
		return err
	}
	csi := &driver.Driver{
		Identity: driver.Identity{Name: p.opts.driverName, Version: version},
		NodeName: p.opts.nodeName,
		Store:    volumes,
		Mounter:  mounts,
	}
	operators := &server.Server{Store: volumes, Version: version, Driver: csi.Name, NodeLabels: csi.NodeLabels(), Mounts: mounter.Mounts, CheckUnused: mounts.CheckUnused}
	p.figures.Store(&metrics.Metrics{Version: version, Store: volumes, Calls: &csi.Calls})
	err = program.ServeAll(ctx, program.Servers{
		"disks":        func(ctx context.Context) error { volumes.Run(ctx); return nil },
		"csi":          func(ctx context.Context) error { return csi.Serve(ctx, p.opts.socketPath) },
		"registration": func(ctx context.Context) error { return p.kubelet.Serve(ctx, p.opts.registrationDir) },
		"operators":    func(ctx context.Context) error { return operators.Serve(ctx, admin.SocketPath(p.opts.socketPath)) },
	})
	volumes.Release()
	return err
}

// ServeHTTP answers with the metrics.
func (p *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	figures := p.figures.Load()
	if figures == nil {
		http.Error(w, "waiting until another process that serves this driver ends", http.StatusServiceUnavailable)
		return
	}
	figures.ServeHTTP(w, r)
}

// readiness fails until kubelet knows the driver. A disk that is absent does not:
// the others can be used.
func (p *node) readiness() error {
	if !p.kubelet.Registered() {
		return fmt.Errorf("kubelet has not registered the driver yet; its root directory has to be the chart's value kubeletDir, here %s", p.opts.kubeletDir)
	}
	return nil
}

// tellFallbacks says what is done in other ways on this kernel, and is weaker for
// it.
func tellFallbacks(ctx context.Context) {
	for _, weaker := range []string{dir.Fallback(), mounter.Fallback()} {
		if weaker != "" {
			klog.FromContext(ctx).Info("old kernel or seccomp profile", "fallback", weaker)
		}
	}
}
