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

// Driver serves the Identity, Controller, GroupController and Node services of one node.
type Driver struct {
	Identity

	NodeName string
	Store    *store.Store
	Mounter  *mounter.Mounter
	// Calls counts the calls that are answered; the zero value is ready.
	Calls metrics.Calls
}

// Serve answers calls at the Unix socket until the context ends, and lets the
// calls under way finish.
func (d *Driver) Serve(ctx context.Context, socketPath string) error {
	return serve(ctx, socketPath, d, &d.Calls, newDeletes(ctx.Done()).intercept)
}

const (
	// maxRequest bounds a request, in bytes. CSI's own limits, 128 bytes for a
	// string and 4 KiB for a map, keep all requests far below it but one:
	// without --strict-topology, csi-provisioner names every node of the cluster
	// in CreateVolume. That is some 100 bytes each for ten thousand nodes.
	maxRequest = 1 << 20
	// maxStreams bounds the calls that a client has under way on a connection.
	// csi-provisioner makes 200 at once by default, kubelet fewer. How many of
	// them work on a disk at a time, the store bounds.
	maxStreams = 1000
	// streamWorkers are goroutines that wait for calls: their stacks have grown already.
	// More calls at once than that get goroutines of their own.
	streamWorkers = 4
)

// services are those that every socket serves.
type services interface {
	csi.IdentityServer
	csi.ControllerServer
	csi.GroupControllerServer
	csi.NodeServer
}

// serve runs each call through the interceptors, the outermost first.
func serve(ctx context.Context, socketPath string, s services, calls *metrics.Calls, interceptors ...grpc.UnaryServerInterceptor) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(intercept(calls)),
		grpc.ChainUnaryInterceptor(interceptors...),
	)
	defer server.GracefulStop()
	csi.RegisterIdentityServer(server, s)
	csi.RegisterControllerServer(server, s)
	csi.RegisterGroupControllerServer(server, s)
	csi.RegisterNodeServer(server, s)
	return socket.Serve(ctx, socketPath, server)
}
