package faults

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// answers are the codes that a call may end with in which a system call failed.
// All may end with OK, too: the system call did not matter, and what is on disk
// is checked all the same.
type answers func(errno unix.Errno) []codes.Code

// ofCreate: another node is asked if this one cannot make the volume, and only if
// nothing is left of it here.
func ofCreate(errno unix.Errno) []codes.Code {
	switch errno {
	case unix.EINTR:
		return []codes.Code{codes.Aborted}
	case unix.EIO:
		return []codes.Code{codes.ResourceExhausted, codes.Aborted}
	default:
		return []codes.Code{codes.ResourceExhausted}
	}
}

// ofExisting: the volume is there, so no other node is asked, and the call is not
// given up.
func ofExisting(unix.Errno) []codes.Code {
	return []codes.Code{codes.Aborted, codes.Unavailable}
}

// ofDelete: whoever asked asks again.
func ofDelete(unix.Errno) []codes.Code {
	return []codes.Code{codes.Aborted, codes.Unavailable, codes.Internal}
}

// ofNode: as for ofDelete; and none of the codes by which kubelet takes a request
// for one that cannot be met.
func ofNode(unix.Errno) []codes.Code {
	return []codes.Code{codes.Aborted, codes.Unavailable, codes.Internal, codes.ResourceExhausted}
}

// ofExpand: kubelet is told that there is no room, or to try again.
func ofExpand(unix.Errno) []codes.Code {
	return []codes.Code{codes.Aborted, codes.Unavailable, codes.ResourceExhausted}
}

// ofOrder: an operator gets a sentence, and no code.
func ofOrder(unix.Errno) []codes.Code { return []codes.Code{codes.Unknown} }

func (op operation) wantAnswer(t *testing.T, err error, errno unix.Errno) {
	t.Helper()
	want := append(op.answers(errno), codes.OK)
	if got := status.Code(err); !slices.Contains(want, got) {
		t.Errorf("%s: the answer is %s, want one of %v: %v", unix.ErrnoName(errno), got, want, err)
	}
}
