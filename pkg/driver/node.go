package driver

import (
	"context"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/store"
)

// NodeGetInfo returns the node's name and the topology of its volumes.
func (d *Driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.NodeName, AccessibleTopology: d.topology()}, nil
}

// NodePublishVolume mounts a volume for a pod. The directory comes from the
// volume's record alone, never from the request.
func (d *Driver) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetTargetPath() == "" {
		return nil, invalid("the request needs a volume ID and a target path, it has %q and %q", req.GetVolumeId(), req.GetTargetPath())
	}
	if err := checkCapability(req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	if err := d.checkFilesystem(req.GetVolumeId(), nil, req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	err := d.Store.WithData(ctx, req.GetVolumeId(), func(data *os.File) error {
		return d.Mounter.Publish(data, publication(req.GetTargetPath(), req.GetVolumeCapability(), req.GetReadonly()))
	})
	if err != nil {
		return nil, err
	}
	klog.FromContext(ctx).Info("volume published")
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume unmounts the target path, also of a volume that is gone:
// pods must be able to end.
func (d *Driver) NodeUnpublishVolume(ctx context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetTargetPath() == "" {
		return nil, invalid("the request needs a volume ID and a target path, it has %q and %q", req.GetVolumeId(), req.GetTargetPath())
	}
	err := d.Store.WithLock(req.GetVolumeId(), func() error {
		return d.Mounter.Unpublish(req.GetTargetPath(), func(root string) bool { return store.IsDataOf(req.GetVolumeId(), root) })
	})
	if err != nil {
		return nil, err
	}
	klog.FromContext(ctx).Info("volume unpublished")
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeExpandVolume raises a volume's capacity while pods use it.
func (d *Driver) NodeExpandVolume(ctx context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetVolumePath() == "" {
		return nil, invalid("the request needs a volume ID and a volume path, it has %q and %q", req.GetVolumeId(), req.GetVolumePath())
	}
	if c := req.GetVolumeCapability(); c != nil {
		if err := checkCapability(c); err != nil {
			return nil, err
		}
		if err := d.checkFilesystem(req.GetVolumeId(), nil, c); err != nil {
			return nil, err
		}
	}
	capacity, err := d.Store.Expand(ctx, req.GetVolumeId(), req.GetCapacityRange().GetRequiredBytes(), req.GetCapacityRange().GetLimitBytes())
	if err != nil {
		return nil, err
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: capacity}, nil
}

// NodeGetVolumeStats returns how much of its capacity a volume uses.
func (d *Driver) NodeGetVolumeStats(ctx context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if req.GetVolumeId() == "" || req.GetVolumePath() == "" {
		return nil, invalid("the request needs a volume ID and a volume path, it has %q and %q", req.GetVolumeId(), req.GetVolumePath())
	}
	stats, err := d.Store.Stats(ctx, req.GetVolumeId(), func(data *os.File) error {
		return d.Mounter.CheckPublished(data, req.GetVolumePath())
	})
	if err != nil {
		return nil, err
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: stats.Bytes.Total, Used: stats.Bytes.Used, Available: stats.Bytes.Available},
		{Unit: csi.VolumeUsage_INODES, Total: stats.Inodes.Total, Used: stats.Inodes.Used, Available: stats.Inodes.Available},
	}}, nil
}
