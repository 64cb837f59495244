package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/metrics"
)

func TestErrorCodes(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want codes.Code
	}{
		{"invalid", errdefs.ErrInvalid, codes.InvalidArgument},
		{"not found", errdefs.ErrNotFound, codes.NotFound},
		{"incompatible", errdefs.ErrConflict, codes.AlreadyExists},
		{"out of range", errdefs.ErrOutOfRange, codes.OutOfRange},
		{"no space", errdefs.ErrNoSpace, codes.ResourceExhausted},
		{"in use", errdefs.ErrInUse, codes.FailedPrecondition},
		{"elsewhere", errdefs.ErrWrongNode, codes.FailedPrecondition},
		{"busy", errdefs.ErrBusy, codes.Aborted},
		{"unavailable", errdefs.ErrUnavailable, codes.Unavailable},
		{"canceled", context.Canceled, codes.Canceled},
		{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded},
		{"of no class", errors.New("strange"), codes.Internal},
		{"of the kernel", &fs.PathError{Op: "openat2", Path: "/pool", Err: unix.ELOOP}, codes.Internal},
		{"wrapped twice", fmt.Errorf("volume 1: %w", fmt.Errorf("it is %w", errdefs.ErrInUse)), codes.FailedPrecondition},
		// Another node may have room, whatever is wrong with this one.
		{"no space, for the pool is unavailable", fmt.Errorf("%w: %w", errdefs.ErrNoSpace, errdefs.ErrUnavailable), codes.ResourceExhausted},
		// What is half done may be all done soon: only a retry shows.
		{"busy, for the undo failed on a full disk", fmt.Errorf("%w: %w", errdefs.ErrBusy, unix.ENOSPC), codes.Aborted},
		{"not found, for the path is invalid", fmt.Errorf("%w: %w", errdefs.ErrNotFound, errdefs.ErrInvalid), codes.NotFound},
		{"with a code of its own", status.Error(codes.Unimplemented, "no"), codes.Unimplemented},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCode(t, toStatus(test.err), test.want)
		})
	}
}

func TestErrorKeepsItsWords(t *testing.T) {
	err := toStatus(fmt.Errorf("volume 1: it is %w, mounted at /pod", errdefs.ErrInUse))
	if got, want := status.Convert(err).Message(), "volume 1: it is in use, mounted at /pod"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

func TestPanicEndsOneCall(t *testing.T) {
	info := &grpc.UnaryServerInfo{FullMethod: csi.Controller_CreateVolume_FullMethodName}
	resp, err := intercept(&metrics.Calls{})(t.Context(), createRequest("pvc-1"), info, func(context.Context, any) (any, error) {
		var v *csi.Volume
		return v.VolumeId, nil
	})
	wantCode(t, err, codes.Internal)
	if resp != nil {
		t.Errorf("a call that failed answers %v", resp)
	}
}

// TestLogFields holds what may be logged of a request: nothing that a secret
// can be in.
func TestLogFields(t *testing.T) {
	secret := map[string]string{"password": "secret"}
	for _, test := range []struct {
		req  any
		want []any
	}{
		{&csi.CreateVolumeRequest{Name: "pvc-1", Secrets: secret, Parameters: secret}, []any{"name", "pvc-1"}},
		{&csi.DeleteVolumeRequest{VolumeId: "id", Secrets: secret}, []any{"volumeID", "id"}},
		{
			&csi.NodePublishVolumeRequest{VolumeId: "id", TargetPath: "/pod", Secrets: secret, VolumeContext: secret, PublishContext: secret},
			[]any{"volumeID", "id", "targetPath", "/pod"},
		},
		{&csi.ProbeRequest{}, nil},
	} {
		if diff := cmp.Diff(test.want, fields(test.req)); diff != "" {
			t.Errorf("%T (-want +got):\n%s", test.req, diff)
		}
	}
}
