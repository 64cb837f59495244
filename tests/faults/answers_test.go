package faults

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wantAnswer checks the code of a call in which a system call failed. OK says
// that the system call did not matter; what is on disk is checked all the same.
func (op operation) wantAnswer(t *testing.T, err error, errno unix.Errno) {
	t.Helper()
	want := []codes.Code{codes.OK, codes.Internal, codes.Aborted, codes.Unavailable, codes.ResourceExhausted}
	if op.undoes && op.atomic {
		want = []codes.Code{codes.OK, codes.ResourceExhausted}
		switch errno {
		case unix.EIO:
			want = append(want, codes.Aborted)
		case unix.EINTR:
			want = []codes.Code{codes.OK, codes.Aborted}
		}
	}
	if got := status.Code(err); !slices.Contains(want, got) {
		t.Errorf("%s: the answer is %s, want one of %v: %v", unix.ErrnoName(errno), got, want, err)
	}
	t.Logf("ANSWER %s %s %v", op.name, unix.ErrnoName(errno), err)
}
