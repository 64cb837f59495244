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

	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

// server is a running plugin and clients of its services.
type server struct {
	*plugin.Plugin
	csi.ControllerClient
	csi.NodeClient

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
	t.Cleanup(func() { unmountBelow(t, root) })
	outside := filepath.Join(root, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "data", "precious"), []byte("not the plugin's"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Run(t)
	return &server{
		Plugin:           p,
		ControllerClient: csi.NewControllerClient(p.Conn),
		NodeClient:       csi.NewNodeClient(p.Conn),
		ctx:              plugin.Context(t),
		root:             root,
		outside:          outside,
	}
}

// restart stops the program and runs it again on what is on disk.
func (s *server) restart(t *testing.T) {
	t.Helper()
	s.Signal(t, os.Interrupt)
	s.Run(t)
	s.ControllerClient, s.NodeClient = csi.NewControllerClient(s.Conn), csi.NewNodeClient(s.Conn)
}

// capability is a filesystem of this access mode, with mount flags.
func capability(mode csi.VolumeCapability_AccessMode_Mode, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{MountFlags: flags}},
	}
}

const singleWriter = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER

// goodCreate is a request that nothing is wrong with.
func goodCreate(name string) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: mebibyte},
		VolumeCapabilities: []*csi.VolumeCapability{capability(singleWriter)},
	}
}

// create makes a volume and returns its ID.
func (s *server) create(t *testing.T, name string) string {
	t.Helper()
	resp, err := s.CreateVolume(s.ctx, goodCreate(name))
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume().GetVolumeId()
}

// goodPublish is a request that nothing is wrong with.
func goodPublish(volumeID, targetPath string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId:         volumeID,
		TargetPath:       targetPath,
		VolumeCapability: capability(singleWriter),
	}
}

func (s *server) publish(volumeID, targetPath string) error {
	_, err := s.NodePublishVolume(s.ctx, goodPublish(volumeID, targetPath))
	return err
}

func (s *server) unpublish(volumeID, targetPath string) error {
	_, err := s.NodeUnpublishVolume(s.ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: volumeID, TargetPath: targetPath})
	return err
}

func (s *server) delete(volumeID string) error {
	_, err := s.DeleteVolume(s.ctx, &csi.DeleteVolumeRequest{VolumeId: volumeID})
	return err
}

// volume is where the directory of a volume is; its ID ends in the name.
func (s *server) volume(volumeID string) string {
	_, name, _ := strings.Cut(volumeID, ".")
	return filepath.Join(s.Base, "volumes", name)
}

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
