package plugin

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Client calls the services of a running plugin.
type Client struct {
	csi.ControllerClient
	csi.NodeClient
}

// NewClient returns the client that uses a connection.
func NewClient(conn grpc.ClientConnInterface) Client {
	return Client{csi.NewControllerClient(conn), csi.NewNodeClient(conn)}
}

// SingleWriter is the access mode of most claims, ReadWriteOnce.
const SingleWriter = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER

// Capability is a filesystem of this access mode, with mount flags.
func Capability(mode csi.VolumeCapability_AccessMode_Mode, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{MountFlags: flags}},
	}
}

// GoodCreate is a request that nothing is wrong with, for a volume of this size.
func GoodCreate(name string, bytes int64) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: bytes},
		VolumeCapabilities: []*csi.VolumeCapability{Capability(SingleWriter)},
	}
}

// GoodPublish is a request that nothing is wrong with.
func GoodPublish(volumeID, targetPath string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId:         volumeID,
		TargetPath:       targetPath,
		VolumeCapability: Capability(SingleWriter),
	}
}

// Create makes a volume and returns its ID.
func (c Client) Create(ctx context.Context, name string, bytes int64) (volumeID string, err error) {
	resp, err := c.CreateVolume(ctx, GoodCreate(name, bytes))
	return resp.GetVolume().GetVolumeId(), err
}

// Publish mounts a volume at the target path.
func (c Client) Publish(ctx context.Context, volumeID, targetPath string) error {
	_, err := c.NodePublishVolume(ctx, GoodPublish(volumeID, targetPath))
	return err
}

// Unpublish takes the mount away.
func (c Client) Unpublish(ctx context.Context, volumeID, targetPath string) error {
	_, err := c.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: volumeID, TargetPath: targetPath})
	return err
}

// Delete deletes a volume.
func (c Client) Delete(ctx context.Context, volumeID string) error {
	_, err := c.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volumeID})
	return err
}

// DeleteNow deletes a volume for a caller who has so little time that the plugin
// answers at once whether it can, and does not wait for an unpublish.
func (c Client) DeleteNow(ctx context.Context, volumeID string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return c.Delete(ctx, volumeID)
}

// Expand asks for a capacity.
func (c Client) Expand(ctx context.Context, volumeID, volumePath string, bytes int64) error {
	_, err := c.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
		VolumeId:      volumeID,
		VolumePath:    volumePath,
		CapacityRange: &csi.CapacityRange{RequiredBytes: bytes},
	})
	return err
}

// Stats asks what a volume holds.
func (c Client) Stats(ctx context.Context, volumeID, volumePath string) (*csi.NodeGetVolumeStatsResponse, error) {
	return c.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: volumeID, VolumePath: volumePath})
}

// WantCode checks that a call was answered with one of these codes.
func WantCode(t testing.TB, call string, err error, want ...codes.Code) {
	t.Helper()
	if got := status.Code(err); !slices.Contains(want, got) {
		t.Errorf("%s: code %s, want one of %v: %v", call, got, want, err)
	}
}

// VolumeDir is where the directory of a volume is: its ID ends in the name.
func (p *Plugin) VolumeDir(volumeID string) string {
	_, name, _ := strings.Cut(volumeID, ".")
	return filepath.Join(p.Base, "volumes", name)
}

// PID is the running program's process ID.
func (p *Plugin) PID() int { return p.cmd.Process.Pid }
