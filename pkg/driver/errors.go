package driver

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/metrics"
)

// errorCodes is the one place where errors become codes. An error can belong to
// several classes ("no room here, because the disk is unavailable"): the first
// one in this table counts.
var errorCodes = []struct {
	class error
	code  codes.Code
}{
	{errdefs.ErrNoSpace, codes.ResourceExhausted},
	{errdefs.ErrBusy, codes.Aborted},
	{errdefs.ErrNotFound, codes.NotFound},
	{errdefs.ErrUnavailable, codes.Unavailable},
	{errdefs.ErrWrongNode, codes.FailedPrecondition},
	{errdefs.ErrInUse, codes.FailedPrecondition},
	{errdefs.ErrConflict, codes.AlreadyExists},
	{errdefs.ErrOutOfRange, codes.OutOfRange},
	{errdefs.ErrInvalid, codes.InvalidArgument},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// toStatus gives an error its code. An error that has one keeps it.
func toStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, e := range errorCodes {
		if errors.Is(err, e.class) {
			return status.Error(e.code, err.Error())
		}
	}
	return status.Error(codes.Internal, err.Error())
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errdefs.ErrInvalid, fmt.Sprintf(format, args...))
}

// intercept runs each call: it translates and logs its error, counts it, and
// keeps a panic in one call from ending the others.
func intercept(calls *metrics.Calls) grpc.UnaryServerInterceptor {
	var logged logDedup
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		began := time.Now()
		log := klog.FromContext(ctx).WithValues(append([]any{"method", info.FullMethod}, fields(req)...)...)
		defer func() {
			if r := recover(); r != nil {
				calls.Panicked()
				log.Error(fmt.Errorf("panic: %v", r), "call failed", "stack", string(debug.Stack()))
				resp, err = nil, status.Errorf(codes.Internal, "hostdir has a bug: %v; its log has the details", r)
			}
			calls.Done(path.Base(info.FullMethod), status.Code(err).String(), time.Since(began))
		}()
		resp, err = handler(klog.NewContext(ctx, log), req)
		if err != nil {
			err = toStatus(err)
			if logged.seen(info.FullMethod+err.Error(), began) {
				log.V(4).Info("call failed again", "err", err.Error())
			} else {
				log.Error(err, "call failed", "code", status.Code(err).String())
			}
			return nil, err
		}
		log.V(4).Info("call done")
		return resp, nil
	}
}

// fields returns what a log line may show of a request. That is never the whole
// request: CSI messages can hold secrets.
func fields(req any) []any {
	var kv []any
	if r, ok := req.(interface{ GetName() string }); ok {
		kv = append(kv, "name", r.GetName())
	}
	if r, ok := req.(interface{ GetVolumeId() string }); ok {
		kv = append(kv, "volumeID", r.GetVolumeId())
	}
	if r, ok := req.(interface{ GetSourceVolumeId() string }); ok {
		kv = append(kv, "sourceVolumeID", r.GetSourceVolumeId())
	}
	if r, ok := req.(interface{ GetSnapshotId() string }); ok {
		kv = append(kv, "snapshotID", r.GetSnapshotId())
	}
	if r, ok := req.(interface{ GetTargetPath() string }); ok {
		kv = append(kv, "targetPath", r.GetTargetPath())
	}
	return kv
}
