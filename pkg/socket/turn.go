package socket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// turnPoll is how often a process looks whether it is its turn.
const turnPoll = 100 * time.Millisecond

// WaitTurn waits until no other process that serves beside this path is left, or
// the context ends: during an upgrade, or after a forced deletion of its pod, a
// process may be there whose calls are still at work, and two of them would take
// each other's half-finished work for what a crash has left. The kernel gives the
// turn on when a process ends, however it does. leave gives it on before.
func WaitTurn(ctx context.Context, path string) (leave func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !told {
			klog.FromContext(ctx).Info("another process serves this driver on this node; waiting until it ends", "pid", holder(path), "lock", path)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(turnPoll):
		}
	}
	// For people, and for the message above.
	if err := errors.Join(f.Truncate(0), write(f, fmt.Sprintln(os.Getpid()))); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holder is the process whose turn it is, as it knows itself: in a container it may
// have another number outside.
func holder(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}
