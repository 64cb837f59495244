package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// echo is a Server that answers each connection with its greeting.
type echo struct{ greeting string }

func (e echo) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		io.WriteString(conn, e.greeting)
		conn.Close()
	}
}

// serve runs Serve until stop is called, which returns its error.
func serve(t *testing.T, path, greeting string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, path, echo{greeting}) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-done }
}

// socketPath is short enough for the kernel, whatever the test is called.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "socket-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "csi.sock")
}

// waitGreeting waits until a server with this greeting answers.
func waitGreeting(t *testing.T, path, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, err := greeting(path)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers %q (%v), want %q", path, got, err, want)
		}
	}
}

func greeting(path string) (string, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	data, err := io.ReadAll(conn)
	return string(data), err
}

func TestServe(t *testing.T) {
	path := socketPath(t)
	stop := serve(t, path, "hello")
	waitGreeting(t, path, "hello")
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o600 {
		t.Errorf("the socket's mode is %s, want root's alone", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays after the end: %v", err)
	}
}

func TestServeAgainWhenRemoved(t *testing.T) {
	path := socketPath(t)
	stop := serve(t, path, "hello")
	for range 2 {
		waitGreeting(t, path, "hello")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	waitGreeting(t, path, "hello")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestServeInPlaceOfCrashed starts on a socket that nobody listens on any more.
func TestServeInPlaceOfCrashed(t *testing.T) {
	path := socketPath(t)
	crashed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetUnlinkOnClose(false)
	crashed.Close()
	serve(t, path, "hello")
	waitGreeting(t, path, "hello")
}

func TestServeRefuses(t *testing.T) {
	for _, test := range []struct {
		name, says string
		lay        func(t *testing.T, path string)
	}{
		{"another process serves there", "another process serves", func(t *testing.T, path string) {
			serve(t, path, "other")
			waitGreeting(t, path, "other")
		}},
		{"a file is there", "is not a socket", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a link is there", "is not a socket", func(t *testing.T, path string) {
			if err := os.Symlink("elsewhere", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"there is no directory", "no such file", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := socketPath(t)
			test.lay(t, path)
			before, _ := os.Lstat(path)
			err := Serve(t.Context(), path, echo{"hello"})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("what was at the path was replaced")
			}
		})
	}
	t.Run("the path is too long", func(t *testing.T) {
		err := Serve(t.Context(), "/"+strings.Repeat("p", MaxPath), echo{"hello"})
		if err == nil || !strings.Contains(err.Error(), "choose a shorter one") {
			t.Errorf("error %v, want one that says what to do", err)
		}
	})
}

// TestServeLeavesAnothersSocket ends while another process has taken the path.
func TestServeLeavesAnothersSocket(t *testing.T) {
	path := socketPath(t)
	stop := serve(t, path, "first")
	waitGreeting(t, path, "first")
	taken, err := takeOver(path)
	for err != nil { // the first server was faster and listens again
		taken, err = takeOver(path)
	}
	defer taken.Close()
	if err := stop(); err != nil && !strings.Contains(err.Error(), "another process serves") {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other process's socket: %v", err)
	}
}

func takeOver(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// broken is a Server that fails.
type broken struct{ err error }

func (b broken) Serve(net.Listener) error { return b.err }

func TestServeTellsOfFailure(t *testing.T) {
	failure := errors.New("too many open files")
	if err := Serve(t.Context(), socketPath(t), broken{failure}); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}
