// Command hostdir-controller is the part of hostdir that runs once for a cluster,
// beside csi-resizer. It reports that volumes can grow, and that they do so on their
// nodes; csi-resizer then raises the size of PersistentVolumes, and kubelet asks the
// node plugin for it. And it runs the loops of pkg/controller.
package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hostdir/hostdir/pkg/controller"
	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/socket"
)

// version is set by the build.
var version = "dev"

// options are the flags.
type options struct {
	endpoint, httpAddress string
	socketPath            string
	controller            controller.Options
}

func main() {
	os.Exit(newProgram(&options{}).Main())
}

func newProgram(o *options) *program.Program {
	p := &program.Program{
		Name:     "hostdir-controller",
		Version:  version,
		Flags:    pflag.NewFlagSet("hostdir-controller", pflag.ContinueOnError),
		Validate: o.validate,
		Run:      o.run,
		Commands: []*program.Command{releaseClaims()},
	}
	o.addFlags(p.Flags)
	return p
}

// releaseClaims is run before hostdir is uninstalled.
func releaseClaims() *program.Command {
	var o options
	c := &program.Command{
		Name:     "release-claims",
		Summary:  "before uninstalling: end hostdir-controller and what it holds of claims and volumes",
		Flags:    pflag.NewFlagSet("release-claims", pflag.ContinueOnError),
		Validate: o.validateClient,
		Run:      func(ctx context.Context, _ []string) error { return controller.ReleaseClaims(ctx, o.controller) },
	}
	o.addClientFlags(c.Flags)
	return c
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.endpoint, "endpoint", "unix:///csi/csi.sock", "the Unix socket to serve CSI on, as unix://PATH")
	flags.StringVar(&o.httpAddress, "http-address", ":9808", "the address to serve /healthz, /readyz and /metrics on")
	o.addClientFlags(flags)
}

// addClientFlags adds those about the API server.
func (o *options) addClientFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.controller.DriverName, "driver-name", driver.DefaultName, "the name of the CSI driver")
	flags.StringVar(&o.controller.Kubeconfig, "kubeconfig", "", "a file with the API server's address and credentials; without it, those of the pod")
	flags.StringVar(&o.controller.Namespace, "namespace", "", "the namespace of this program")
	flags.Float32Var(&o.controller.QPS, "kube-api-qps", 50, "requests to the API server, a second")
	flags.IntVar(&o.controller.Burst, "kube-api-burst", 100, "requests to the API server at once")
	o.controller.Binding.AddFlags(flags)
	o.controller.NodeLoss.AddFlags(flags)
	o.controller.Misplaced.AddFlags(flags)
}

func (o *options) validate() (err error) {
	if o.socketPath, err = socket.Path(o.endpoint); err != nil {
		return err
	}
	return o.validateClient()
}

func (o *options) validateClient() error {
	switch {
	case o.controller.Namespace == "":
		return errors.New("--namespace is missing: the lease of the replica that acts is there")
	case o.controller.QPS <= 0 || o.controller.Burst < 1:
		return errors.New("--kube-api-qps and --kube-api-burst have to be above 0")
	}
	return errors.Join(o.controller.Binding.Validate(), o.controller.NodeLoss.Validate())
}

// run serves CSI whether or not the API server answers.
func (o *options) run(ctx context.Context) error {
	if err := socket.MakeDir(o.socketPath); err != nil {
		return err
	}
	health, err := net.Listen("tcp", o.httpAddress)
	if err != nil {
		return err
	}
	csi := driver.Identity{Name: o.controller.DriverName, Version: version}
	answers := func(ctx context.Context) error { return driver.Probe(ctx, o.socketPath) }
	return program.ServeAll(ctx, program.Servers{
		"csi":   func(ctx context.Context) error { return csi.Serve(ctx, o.socketPath) },
		"loops": func(ctx context.Context) error { return controller.Run(ctx, o.controller) },
		"health": func(ctx context.Context) error {
			return program.ServeHealth(ctx, health, answers, answers, map[string]http.Handler{
				"/metrics": promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}),
			})
		},
	})
}
