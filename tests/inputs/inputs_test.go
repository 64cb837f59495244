package inputs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

// server is a running plugin and a client of its services.
type server struct {
	*plugin.Plugin
	plugin.Client

	// ctx bounds the calls of the test.
	ctx context.Context
	// root is the directory that holds all of the plugin's surroundings, and
	// outside a directory in it that is none of the plugin's business.
	root, outside string
}

// start runs a plugin whose pool is a plain directory.
func start(t *testing.T) *server { return startOn(t, "") }

// startOn runs a plugin whose pool is at base.
func startOn(t *testing.T, base string) *server { return startConfigured(t, base, "") }

// startConfigured runs a plugin with a configuration of the test's own. The race
// detector, which the plugin is built with, would keep each of its ends waiting
// for a second.
func startConfigured(t *testing.T, base, config string) *server {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	p := plugin.Layout(t, base)
	if config != "" {
		p.Configure(t, config)
	}
	root := filepath.Dir(p.Config)
	// Before the directory is removed, and after the plugin has stopped.
	t.Cleanup(func() { disk.UnmountBelow(t, root) })
	outside := filepath.Join(root, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "data", "precious"), []byte("not the plugin's"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Run(t)
	return &server{
		Plugin:  p,
		Client:  plugin.NewClient(p.Conn),
		ctx:     plugin.Context(t),
		root:    root,
		outside: outside,
	}
}

// restart stops the program and runs it again on what is on disk.
func (s *server) restart(t *testing.T) {
	t.Helper()
	s.Signal(t, os.Interrupt)
	s.Run(t)
	s.Client = plugin.NewClient(s.Conn)
}

// goodCreate is a request that nothing is wrong with.
func goodCreate(name string) *csi.CreateVolumeRequest { return plugin.GoodCreate(name, mebibyte) }

// create makes a volume and returns its ID.
func (s *server) create(t *testing.T, name string) string {
	t.Helper()
	id, err := s.Create(s.ctx, name, mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *server) publish(volumeID, targetPath string) error {
	return s.Publish(s.ctx, volumeID, targetPath)
}

func (s *server) unpublish(volumeID, targetPath string) error {
	return s.Unpublish(s.ctx, volumeID, targetPath)
}

func (s *server) delete(volumeID string) error { return s.Delete(s.ctx, volumeID) }

// wantCode checks a call's error, and that it says what the reader needs.
func wantCode(t *testing.T, err error, want codes.Code, says string) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %s, want %s: %v", got, want, err)
	}
	if message := status.Convert(err).Message(); !strings.Contains(message, says) {
		t.Errorf("the message does not say %q: %s", says, message)
	}
}
