package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestEndWhileCallHangs asks the program to end while a call waits for a disk that
// never answers. kubelet would kill the pod after half a minute.
func TestEndWhileCallHangs(t *testing.T) {
	t.Parallel()
	p := plugin.Layout(t, "")
	p.Run(t)
	answer := hang(t, p.Base)
	defer answer()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 40 { // on all threads that the program has
		go plugin.NewClient(p.Conn).CreateVolume(ctx, plugin.GoodCreate(fmt.Sprintf("pvc-%d", i), mebibyte)) // ends with the program
	}
	time.Sleep(time.Second)
	began := time.Now()
	p.Signal(t, syscall.SIGTERM)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the program ended after %s", took)
	}
	if !strings.Contains(p.Log(), "hostdir stopped") {
		t.Error("the log does not say that hostdir stopped")
	}
}

// hang mounts a filesystem that never answers, until the returned function is
// called.
func hang(t *testing.T, dir string) (answer func()) {
	t.Helper()
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd())
	if err := syscall.Mount("hung", dir, "fuse", 0, options); err != nil {
		server.Close()
		t.Fatal(err)
	}
	return func() {
		server.Close() // all that wait get an error
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
}
