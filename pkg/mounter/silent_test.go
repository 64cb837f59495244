package mounter

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
)

// within reports whether a call returns in time, and what.
func within(limit time.Duration, call func() error) (returned bool, err error) {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return true, err
	case <-time.After(limit):
		return false, nil
	}
}

// TestUnpublishFromSilentDisk takes volumes away from pods while their disk does
// not answer: the pods could not end otherwise.
func TestUnpublishFromSilentDisk(t *testing.T) {
	n := newNode(t)
	silent, target := disk.MountSilent(t), n.target("mount")
	mkdirAll(t, target)
	for range 2 { // one lies on the other
		if err := unix.Mount(silent, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if returned, err := within(200*time.Millisecond, func() error {
		_, err := os.Stat(silent) // at the target it would keep the mount busy
		return err
	}); returned {
		t.Fatalf("the disk answers: %v", err)
	}
	n.wantMounts(t, 2)
	for range 2 {
		if returned, err := within(10*time.Second, func() error { return n.Unpublish(target, nil) }); !returned || err != nil {
			t.Fatalf("unpublish returned: %t, %v", returned, err)
		}
	}
	n.wantMounts(t, 0)
	if exists(target) {
		t.Error("unpublish leaves the target's directory")
	}
}
