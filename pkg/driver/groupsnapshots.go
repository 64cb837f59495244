package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
)

// CreateVolumeGroupSnapshot makes a snapshot of each of some volumes of this node, one
// right after the other. What pods write meanwhile may be in one and not in another: who
// cannot have that asks for consistency=idle.
func (d *Driver) CreateVolumeGroupSnapshot(ctx context.Context, req *csi.CreateVolumeGroupSnapshotRequest) (*csi.CreateVolumeGroupSnapshotResponse, error) {
	if req.GetName() == "" || len(req.GetSourceVolumeIds()) == 0 {
		return nil, invalid("the request needs a name and source volumes, it has %q and %d", req.GetName(), len(req.GetSourceVolumeIds()))
	}
	group, err := store.GroupID(req.GetName())
	if err != nil {
		return nil, err
	}
	volumes := slices.Sorted(slices.Values(req.GetSourceVolumeIds()))
	for _, volume := range volumes { // before anything is made
		if _, err := d.Store.Volume(ctx, volume); errors.Is(err, errdefs.ErrWrongNode) {
			return nil, fmt.Errorf("group snapshot %s: %w; the claims of a group must be on one node: make a VolumeSnapshot of each instead", req.GetName(), err)
		} else if err != nil {
			return nil, err
		}
	}
	var members []store.Snapshot
	for _, volume := range volumes {
		s, err := d.snapshot(ctx, store.MemberName(req.GetName(), volume), volume, group, req.GetParameters())
		if err != nil {
			return nil, err
		}
		members = append(members, s)
	}
	if others := d.Store.SnapshotsOf(group); len(others) > len(members) {
		return nil, fmt.Errorf("group snapshot %s: %w: it has %d snapshots, of other volumes than the %d that are asked for", req.GetName(), errdefs.ErrConflict, len(others), len(members))
	}
	return &csi.CreateVolumeGroupSnapshotResponse{GroupSnapshot: groupToCSI(group, members)}, nil
}

// DeleteVolumeGroupSnapshot takes all snapshots of a group out of use.
func (d *Driver) DeleteVolumeGroupSnapshot(ctx context.Context, req *csi.DeleteVolumeGroupSnapshotRequest) (*csi.DeleteVolumeGroupSnapshotResponse, error) {
	if req.GetGroupSnapshotId() == "" {
		return nil, invalid("the request has no group snapshot ID")
	}
	ids := slices.Clone(req.GetSnapshotIds())
	for _, s := range d.Store.SnapshotsOf(req.GetGroupSnapshotId()) {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		s, err := d.Store.Snapshot(ctx, id)
		if err == nil && s.Group != req.GetGroupSnapshotId() {
			return nil, invalid("snapshot %s does not belong to group snapshot %s", id, req.GetGroupSnapshotId())
		}
		if err := d.deleteSnapshot(ctx, id); err != nil {
			return nil, err
		}
	}
	return &csi.DeleteVolumeGroupSnapshotResponse{}, nil
}

// GetVolumeGroupSnapshot returns a group and its snapshots.
func (d *Driver) GetVolumeGroupSnapshot(ctx context.Context, req *csi.GetVolumeGroupSnapshotRequest) (*csi.GetVolumeGroupSnapshotResponse, error) {
	if req.GetGroupSnapshotId() == "" {
		return nil, invalid("the request has no group snapshot ID")
	}
	members := d.Store.SnapshotsOf(req.GetGroupSnapshotId())
	for _, id := range req.GetSnapshotIds() {
		if slices.ContainsFunc(members, func(s store.Snapshot) bool { return s.ID == id }) {
			continue
		}
		s, err := d.Store.Snapshot(ctx, id) // which is being made, or is on a disk that is away
		if err != nil {
			return nil, err
		}
		if s.Group != req.GetGroupSnapshotId() {
			return nil, invalid("snapshot %s does not belong to group snapshot %s", id, req.GetGroupSnapshotId())
		}
		members = append(members, s)
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("group snapshot %s: %w: no snapshot on this node belongs to it", req.GetGroupSnapshotId(), errdefs.ErrNotFound)
	}
	return &csi.GetVolumeGroupSnapshotResponse{GroupSnapshot: groupToCSI(req.GetGroupSnapshotId(), members)}, nil
}

// groupToCSI describes a group: it is as old as the first of its snapshots, and ready with
// the last.
func groupToCSI(id string, members []store.Snapshot) *csi.VolumeGroupSnapshot {
	slices.SortFunc(members, func(a, b store.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	group := &csi.VolumeGroupSnapshot{GroupSnapshotId: id, ReadyToUse: true}
	created := members[0].Created
	for _, s := range members {
		if s.Created.Before(created) {
			created = s.Created
		}
		group.ReadyToUse = group.ReadyToUse && s.Ready
		group.Snapshots = append(group.Snapshots, snapshotToCSI(s))
	}
	group.CreationTime = timestamppb.New(created)
	return group
}
