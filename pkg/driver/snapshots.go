package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/klog/v2"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

// contentSource returns the ID of what a volume is to begin as a copy of, "" if it begins
// empty.
func contentSource(s *csi.VolumeContentSource) (string, error) {
	id := s.GetSnapshot().GetSnapshotId() + s.GetVolume().GetVolumeId()
	if s != nil && id == "" {
		return "", invalid("the content source names neither a snapshot nor a volume")
	}
	return id, nil
}

// CreateSnapshot makes a snapshot beside its volume. One that takes long is not ready
// when it is returned.
func (d *Driver) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if req.GetName() == "" || req.GetSourceVolumeId() == "" {
		return nil, invalid("the request needs a name and a source volume, it has %q and %q", req.GetName(), req.GetSourceVolumeId())
	}
	s, err := d.snapshot(ctx, req.GetName(), req.GetSourceVolumeId(), "", req.GetParameters())
	if err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: snapshotToCSI(s)}, nil
}

func (d *Driver) snapshot(ctx context.Context, name, volumeID, group string, parameters map[string]string) (store.Snapshot, error) {
	class, err := config.ParseSnapshotClass(classParameters(parameters))
	if err != nil {
		return store.Snapshot{}, err
	}
	return d.Store.CreateSnapshot(ctx, store.SnapshotRequest{
		Name:   name,
		Source: volumeID,
		Class:  class,
		VolumeSnapshot: store.Claim{
			Namespace: parameters[metadataPrefix+"volumesnapshot/namespace"],
			Name:      parameters[metadataPrefix+"volumesnapshot/name"],
		},
		Content: parameters[metadataPrefix+"volumesnapshotcontent/name"],
		Group:   group,
	}, d.Mounter.CheckUnwritten)
}

// DeleteSnapshot takes a snapshot out of use. One that is gone, or whose ID was never
// hostdir's, is deleted already.
func (d *Driver) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, invalid("the request has no snapshot ID")
	}
	if err := d.deleteSnapshot(ctx, req.GetSnapshotId()); err != nil {
		return nil, err
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func (d *Driver) deleteSnapshot(ctx context.Context, id string) error {
	err := d.Store.DeleteSnapshot(ctx, id)
	switch {
	case errors.Is(err, errdefs.ErrNotFound):
		klog.FromContext(ctx).Info("nothing to delete", "reason", err.Error())
	case err != nil:
		return err
	default:
		klog.FromContext(ctx).Info("snapshot deleted", "snapshotID", id)
	}
	return nil
}

// GetSnapshot returns a snapshot, also one that is being made.
func (d *Driver) GetSnapshot(ctx context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, invalid("the request has no snapshot ID")
	}
	s, err := d.Store.Snapshot(ctx, req.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	return &csi.GetSnapshotResponse{Snapshot: snapshotToCSI(s)}, nil
}

// ListSnapshots lists this node's snapshots in the order of their IDs, or those of one
// volume, or one.
func (d *Driver) ListSnapshots(ctx context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	var all []store.Snapshot
	if id := req.GetSnapshotId(); id != "" {
		s, err := d.Store.Snapshot(ctx, id)
		switch {
		case err == nil:
			all = append(all, s)
		case !errors.Is(err, errdefs.ErrNotFound) && !errors.Is(err, errdefs.ErrWrongNode):
			return nil, err
		}
	} else {
		all = slices.DeleteFunc(d.Store.Snapshots(), func(s store.Snapshot) bool { return s.Quarantine != nil })
	}
	if volume := req.GetSourceVolumeId(); volume != "" {
		all = slices.DeleteFunc(all, func(s store.Snapshot) bool { return s.SourceVolume != volume })
	}
	all, next, err := page(all, func(s store.Snapshot) string { return s.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListSnapshotsResponse{NextToken: next}
	for _, s := range all {
		resp.Entries = append(resp.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: snapshotToCSI(s)})
	}
	return resp, nil
}

// snapshotToCSI gives as the size what a restored volume needs at least.
func snapshotToCSI(s store.Snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:      s.ID,
		SourceVolumeId:  s.SourceVolume,
		SizeBytes:       s.CapacityBytes,
		CreationTime:    timestamppb.New(s.Created),
		ReadyToUse:      s.Ready,
		GroupSnapshotId: s.Group,
	}
}
