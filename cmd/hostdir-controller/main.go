// Command hostdir-controller is the part of hostdir that runs once for a cluster,
// beside csi-resizer. It reports that volumes can grow, and that they do so on their
// nodes; csi-resizer then raises the size of PersistentVolumes, and kubelet asks the
// node plugin for it.
package main

import (
	"context"
	"net"
	"os"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/socket"
)

// version is set by the build.
var version = "dev"

func main() {
	flags := pflag.NewFlagSet("hostdir-controller", pflag.ContinueOnError)
	endpoint := flags.String("endpoint", "unix:///csi/csi.sock", "the Unix socket to serve CSI on, as unix://PATH")
	driverName := flags.String("driver-name", driver.DefaultName, "the name of the CSI driver")
	httpAddress := flags.String("http-address", ":9808", "the address to serve /healthz and /readyz on")
	var socketPath string
	p := &program.Program{
		Name:    "hostdir-controller",
		Version: version,
		Flags:   flags,
		Validate: func() (err error) {
			socketPath, err = socket.Path(*endpoint)
			return err
		},
		Run: func(ctx context.Context) error {
			return run(ctx, driver.Identity{Name: *driverName, Version: version}, socketPath, *httpAddress)
		},
	}
	os.Exit(p.Main())
}

func run(ctx context.Context, csi driver.Identity, socketPath, httpAddress string) error {
	if err := socket.MakeDir(socketPath); err != nil {
		return err
	}
	health, err := net.Listen("tcp", httpAddress)
	if err != nil {
		return err
	}
	answers := func(ctx context.Context) error { return driver.Probe(ctx, socketPath) }
	return program.ServeAll(ctx, program.Servers{
		"csi":    func(ctx context.Context) error { return csi.Serve(ctx, socketPath) },
		"health": func(ctx context.Context) error { return program.ServeHealth(ctx, health, answers, answers, nil) },
	})
}
