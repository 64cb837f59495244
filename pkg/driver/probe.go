package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/hostdir/hostdir/pkg/socket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Probe reports whether the disks that answer are in use: a provisioner that asked
// for capacity before would publish less, and ask again a minute later. A disk that
// is absent keeps nobody waiting.
func (d *Driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(d.Store.Settled())}, nil
}

// Probe returns an error unless the driver behind a Unix socket answers.
func Probe(ctx context.Context, socketPath string) error {
	conn, err := grpc.NewClient(socket.Target(socketPath), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = csi.NewIdentityClient(conn).Probe(ctx, &csi.ProbeRequest{})
	return err
}
