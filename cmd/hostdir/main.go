// Command hostdir is hostdir's node plugin. On each node it serves CSI's
// Identity, Controller and Node services on one socket, registers itself with
// kubelet, answers health checks and tells its metrics. It needs no access to the
// Kubernetes API.
//
// Called with a command, it asks the plugin that runs beside it, or gives it an
// order: `hostdir pools`, `hostdir undelete`.
package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/beneath"
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

// run serves until the context ends or one of the servers fails.
func run(ctx context.Context, opts *options) error {
	if err := socket.MakeDir(opts.socketPath); err != nil {
		return err
	}
	tellFallbacks(ctx)
	mounts, err := mounter.New(opts.kubeletDir, mounter.NewBind(filepath.Join(filepath.Dir(opts.socketPath), "mounting")))
	if err != nil {
		return err
	}
	volumes, err := store.Open(ctx, opts.nodeName, opts.config, opts.seenFile())
	if err != nil {
		return err
	}
	csi := &driver.Driver{
		Announcement: driver.Announcement{Name: opts.driverName, Version: version},
		NodeName:     opts.nodeName,
		Store:        volumes,
		Mounter:      mounts,
	}
	kubelet := &registration.Registration{DriverName: opts.driverName, Endpoint: opts.endpointForKubelet()}
	operators := &admin.Server{Store: volumes, Driver: csi.Name, NodeLabels: csi.NodeLabels(), Mounts: mountTable}
	figures := &metrics.Metrics{Version: version, Store: volumes, Calls: &csi.Calls}
	health, err := net.Listen("tcp", opts.httpAddress)
	if err != nil {
		return err
	}
	return program.ServeAll(ctx,
		func(ctx context.Context) error { volumes.Run(ctx); return nil },
		func(ctx context.Context) error { return csi.Serve(ctx, opts.socketPath) },
		func(ctx context.Context) error { return kubelet.Serve(ctx, opts.registrationDir) },
		func(ctx context.Context) error { return operators.Serve(ctx, admin.SocketPath(opts.socketPath)) },
		func(ctx context.Context) error {
			return program.ServeHealth(ctx, health,
				func(ctx context.Context) error { return driver.Probe(ctx, opts.socketPath) },
				func(context.Context) error { return readiness(kubelet) },
				map[string]http.Handler{"/metrics": figures})
		},
	)
}

// tellFallbacks says what is done in other ways on this kernel, and is weaker for
// it.
func tellFallbacks(ctx context.Context) {
	for _, weaker := range []string{beneath.Fallback(), mounter.Fallback()} {
		if weaker != "" {
			klog.FromContext(ctx).Info("old kernel or seccomp profile", "fallback", weaker)
		}
	}
}

// readiness fails until kubelet knows the driver. A disk that is absent does
// not: the other pools can be used.
func readiness(kubelet *registration.Registration) error {
	if !kubelet.Registered() {
		return errors.New("kubelet has not registered the driver yet")
	}
	return nil
}
