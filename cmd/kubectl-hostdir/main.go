// Command kubectl-hostdir is `kubectl hostdir`: it shows what hostdir has in a
// cluster, says why a claim waits, and mends, with the person's own rights.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubeconfigs of clouds ask for

	"github.com/hostdir/hostdir/pkg/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	status := cli.Run(ctx, version, streams, os.Args[1:])
	stop()
	os.Exit(status)
}
