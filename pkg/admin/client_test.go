package admin

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNobodyAnswers(t *testing.T) {
	c := &Client{Socket: socketPath(t)}
	if _, err := c.Disks(t.Context()); err == nil || !strings.Contains(err.Error(), c.Socket) || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("error %v, want one that names the socket and asks", err)
	}
}

func TestStrangeAnswer(t *testing.T) {
	for _, test := range []struct {
		name, says string
		answer     http.HandlerFunc
	}{
		{"no such question", "404 Not Found: who?", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who?", http.StatusNotFound) }},
		{"not JSON", "cannot be read", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }},
		{"cut off", "cannot be read", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"volumes":[`) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := socketPath(t)
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: test.answer}
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			if _, err := (&Client{Socket: socket}).Volumes(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// socketPath is short enough for the kernel, whatever the test is called.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "admin.sock")
}

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"told", "v1", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(VersionHeader, "v1"); fmt.Fprint(w, "{}") }},
		{"told with an error", "v1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(VersionHeader, "v1")
			http.Error(w, "no", Refused)
		}},
		{"not told", Older, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := socketPath(t)
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: test.answer}
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			c := &Client{Socket: socket}
			if v := c.Version(); v != "" {
				t.Errorf("before any answer the version is %q", v)
			}
			_, _ = c.Disks(t.Context())
			if v := c.Version(); v != test.want {
				t.Errorf("the version is %q, want %q", v, test.want)
			}
		})
	}
}
