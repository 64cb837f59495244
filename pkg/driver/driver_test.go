package driver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/pkg/socket"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// served is a driver with a real store and real mounts, and clients that reach
// it through its socket.
type served struct {
	*Driver
	identity   csi.IdentityClient
	controller csi.ControllerClient
	node       csi.NodeClient

	ctx     context.Context
	volumes string // where the volumes' directories are
	kubelet string
}

func startDriver(t *testing.T) *served {
	t.Helper()
	return startDriverOn(t, plugin.Layout(t, ""), DefaultName, plugin.NodeName)
}

func startDriverOn(t *testing.T, layout *plugin.Plugin, driverName, nodeName string) *served {
	t.Helper()
	t.Cleanup(func() { unmountBelow(t, layout.KubeletDir) })
	volumes, err := store.Open(t.Context(), nodeName, layout.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	volumes.Look(t.Context())
	mounts, err := mounter.New(layout.KubeletDir, mounter.NewBind(filepath.Join(t.TempDir(), "mounting")))
	if err != nil {
		t.Fatal(err)
	}
	d := &Driver{Identity: Identity{Name: driverName, Version: "test"}, NodeName: nodeName, Store: volumes, Mounter: mounts}

	conn := serveOn(t, d.Serve)()
	return &served{
		Driver:     d,
		identity:   csi.NewIdentityClient(conn),
		controller: csi.NewControllerClient(conn),
		node:       csi.NewNodeClient(conn),
		ctx:        plugin.Context(t),
		volumes:    filepath.Join(layout.Base, "volumes"),
		kubelet:    layout.KubeletDir,
	}
}

// serveOn runs a server at a socket until the test ends, and returns what
// connects to it.
func serveOn(t *testing.T, run func(ctx context.Context, socketPath string) error) (connect func() *grpc.ClientConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "%41-") // short, whatever the test is called, and no URL
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "csi.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, path) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() *grpc.ClientConn {
		conn, err := grpc.NewClient(socket.Target(path), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}

func capability(mode csi.VolumeCapability_AccessMode_Mode, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{MountFlags: flags}},
	}
}

const (
	writer       = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
	singleWriter = csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
	multiWriter  = csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	reader       = csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY
)

// create makes a volume and returns its ID.
func (s *served) create(t *testing.T, name string) string {
	t.Helper()
	resp, err := s.controller.CreateVolume(s.ctx, createRequest(name))
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume().GetVolumeId()
}

func createRequest(name string) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: 1 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{capability(writer)},
	}
}

func (s *served) delete(volumeID string) error {
	_, err := s.controller.DeleteVolume(s.ctx, &csi.DeleteVolumeRequest{VolumeId: volumeID})
	return err
}

// deleteNow deletes for a caller whose time leaves none to wait.
func (s *served) deleteNow(volumeID string) error { return s.deleteWithin(deleteReserve, volumeID) }

func (s *served) deleteWithin(d time.Duration, volumeID string) error {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	_, err := s.controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volumeID})
	return err
}

func (s *served) publish(volumeID, target string, c *csi.VolumeCapability) error {
	_, err := s.node.NodePublishVolume(s.ctx, &csi.NodePublishVolumeRequest{VolumeId: volumeID, TargetPath: target, VolumeCapability: c})
	return err
}

func (s *served) unpublish(volumeID, target string) error {
	_, err := s.node.NodeUnpublishVolume(s.ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: volumeID, TargetPath: target})
	return err
}

func (s *served) target(n int) string { return filepath.Join(s.kubelet, fmt.Sprintf("target-%d", n)) }

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %s, want %s: %v", got, want, err)
	}
}
