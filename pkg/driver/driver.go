// Package driver translates between the Container Storage Interface and
// hostdir's own packages. A handler checks the request's form, calls pkg/store
// and pkg/mounter, and translates the answer; errors become gRPC codes in one
// place, errors.go. Nothing else in hostdir knows CSI.
package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"

	"github.com/hostdir/hostdir/pkg/metrics"
	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/pkg/store"
)

// DefaultName is the name that CSIDriver objects and StorageClasses use.
const DefaultName = "csi.hostdir.io"

// Driver serves the Identity, Controller and Node services of one node.
type Driver struct {
	Announcement

	NodeName string
	Store    *store.Store
	Mounter  *mounter.Mounter
	// Calls counts what is answered. It needs no setting up.
	Calls metrics.Calls
}

// Serve answers calls at the Unix socket until the context ends, and lets the
// calls under way finish.
func (d *Driver) Serve(ctx context.Context, socketPath string) error {
	return serve(ctx, socketPath, d, &d.Calls)
}

// services are the three that every socket serves.
type services interface {
	csi.IdentityServer
	csi.ControllerServer
	csi.NodeServer
}

func serve(ctx context.Context, socketPath string, s services, calls *metrics.Calls) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ChainUnaryInterceptor(intercept(calls), newBounds().intercept),
	)
	defer server.GracefulStop()
	csi.RegisterIdentityServer(server, s)
	csi.RegisterControllerServer(server, s)
	csi.RegisterNodeServer(server, s)
	return socket.Serve(ctx, socketPath, server)
}
