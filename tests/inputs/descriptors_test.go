package inputs

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestNoDescriptors creates volumes while the program can open no more files,
// then one more, then two, until it can do its work.
func TestNoDescriptors(t *testing.T) {
	const most = 64
	s := start(t)
	s.create(t, "pvc-before") // the connection is there now
	before := snapshot(t, s.Base)
	unlimited := s.limitDescriptors(t, most)

	createAndDelete := func() {
		t.Helper()
		wantCode(t, s.delete(s.create(t, "pvc-1")), codes.OK, "")
		s.waitPurged(t)
	}

	var got []codes.Code
	for n := range uint64(most) {
		s.limitDescriptors(t, n) // those that are open stay so
		_, err := s.CreateVolume(s.ctx, goodCreate("pvc-1"))
		s.limitDescriptors(t, unlimited)
		got = append(got, status.Code(err))
		if err == nil {
			break
		}
		// A call that could not undo what it did says so with Aborted: a
		// retry does it.
		if status.Code(err) == codes.Aborted {
			createAndDelete()
		} else {
			wantCode(t, err, codes.ResourceExhausted, "too many open files")
		}
		wantSame(t, s.Base, before)
	}
	if !slices.Contains(got, codes.ResourceExhausted) || !slices.Contains(got, codes.OK) {
		t.Errorf("codes %v, want some calls to fail and one to succeed", got)
	}
	createAndDelete()
	wantSame(t, s.Base, before)
}

// limitDescriptors sets how many files the program can have open, and returns
// the limit that was.
func (s *server) limitDescriptors(t *testing.T, n uint64) (was uint64) {
	t.Helper()
	pid := s.PID()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}
