// Command hostdir is hostdir's node plugin. On each node it serves CSI's
// Identity, Controller and Node services on one socket, registers itself with
// kubelet and answers health checks. It needs no access to the Kubernetes API.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/registration"
	"github.com/hostdir/hostdir/pkg/store"
)

// version is set by the build.
var version = "dev"

func main() {
	opts := defaultOptions()
	flags := pflag.NewFlagSet("hostdir", pflag.ContinueOnError)
	opts.addFlags(flags)
	err := flags.Parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err == nil && opts.showVersion:
		fmt.Println("hostdir", version)
		return
	case err == nil:
		err = opts.validate(flags.Args())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hostdir: %v\nSee hostdir --help.\n", err)
		os.Exit(2)
	}
	setUpLogging(opts)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if err := run(ctx, opts); err != nil {
		klog.ErrorS(err, "hostdir ends")
		klog.Flush()
		os.Exit(1)
	}
	klog.InfoS("hostdir stopped")
	klog.Flush()
}

// run serves until the context ends or one of the servers fails.
func run(ctx context.Context, opts options) error {
	klog.FromContext(ctx).Info("hostdir starts", "version", version, "node", opts.nodeName, "driver", opts.driverName)
	// The sockets are root's alone. Every other mode is set explicitly.
	unix.Umask(0o077)
	if err := os.MkdirAll(filepath.Dir(opts.socketPath()), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(opts.socketPath()), 0o700); err != nil {
		return err
	}
	mounts, err := mounter.New(opts.kubeletDir, mounter.NewBind())
	if err != nil {
		return err
	}
	volumes, err := store.Open(ctx, opts.nodeName, opts.config)
	if err != nil {
		return err
	}
	csi := &driver.Driver{
		Name:     opts.driverName,
		Version:  version,
		NodeName: opts.nodeName,
		Store:    volumes,
		Mounter:  mounts,
	}
	kubelet := &registration.Registration{DriverName: opts.driverName, Endpoint: opts.endpointForKubelet()}
	health, err := net.Listen("tcp", opts.httpAddress)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var failed error
	var once sync.Once
	serve := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				once.Do(func() { failed = err })
			}
			cancel()
		})
	}
	serve(func() error { volumes.Run(ctx); return nil })
	serve(func() error { return csi.Serve(ctx, opts.socketPath()) })
	serve(func() error { return kubelet.Serve(ctx, opts.registrationDir) })
	serve(func() error { return serveHealth(ctx, health, opts.socketPath(), kubelet) })
	wg.Wait()
	return failed
}
