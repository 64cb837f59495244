package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/pkg/store"
)

// NodeGetVolumeHealth reports what is wrong with a volume.
func (d *Driver) NodeGetVolumeHealth(ctx context.Context, req *csi.NodeGetVolumeHealthRequest) (*csi.NodeGetVolumeHealthResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, invalid("the request has no volume ID")
	}
	problems, err := d.Store.Health(ctx, req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	health := &csi.VolumeHealth{VolumeId: req.GetVolumeId()}
	for _, p := range problems {
		health.HealthStatuses = append(health.HealthStatuses, &csi.VolumeHealth_VolumeHealthEntry{
			Status: map[store.Severity]csi.VolumeHealthErrorType{
				store.Degraded:     csi.VolumeHealthErrorType_DEGRADED,
				store.Inaccessible: csi.VolumeHealthErrorType_INACCESSIBLE,
				store.DataLoss:     csi.VolumeHealthErrorType_DATA_LOSS,
			}[p.Severity],
			Reason:  p.Reason,
			Message: p.Message,
		})
	}
	return &csi.NodeGetVolumeHealthResponse{VolumeHealth: health}, nil
}

// NodeGetStorageHealth reports which disks cannot be used. The spec wants each
// reason once, so the messages of several are joined.
func (d *Driver) NodeGetStorageHealth(context.Context, *csi.NodeGetStorageHealthRequest) (*csi.NodeGetStorageHealthResponse, error) {
	resp := &csi.NodeGetStorageHealthResponse{}
	for _, p := range d.Store.Problems() {
		if len(resp.BackendHealth) > 0 {
			resp.BackendHealth[0].Message += "; " + p.Message
			continue
		}
		resp.BackendHealth = append(resp.BackendHealth, &csi.NodeGetStorageHealthResponse_StorageBackendHealth{
			Status:  csi.StorageHealthErrorType_STORAGE_UNREACHABLE,
			Reason:  p.Reason,
			Message: p.Message,
		})
	}
	return resp, nil
}
