// Command kubectl-hostdir is `kubectl hostdir`: it shows what hostdir has in a
// cluster, says why a claim waits, and mends, with the person's own rights.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubeconfigs of clouds ask for
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	// What the libraries of Kubernetes log is about connections that were closed on
	// purpose; what a person has to know comes as an error.
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	status := cli.Run(ctx, version, streams, os.Args[1:])
	stop()
	os.Exit(status)
}
