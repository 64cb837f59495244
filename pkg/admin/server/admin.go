package server

import (
	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

// disks asks the store.
func disks(s *store.Store) admin.Disks {
	d := admin.Disks{ConfigError: s.ConfigError(), Disks: []admin.Disk{}}
	for _, status := range s.Status() {
		d.Disks = append(d.Disks, newDisk(status))
	}
	return d
}

func newDisk(s store.Status) admin.Disk {
	d := admin.Disk{
		Pool: s.Pool, Path: s.Path, UUID: s.UUID, State: admin.Ready,
		AllocatedBytes: s.AllocatedBytes, AvailableBytes: s.Space.AvailableBytes,
		Volumes: s.Volumes, Trash: s.Space.Trash, Stuck: s.Space.Stuck,
		Snapshots: s.Snapshots, SnapshotBytes: s.SnapshotBytes, QuarantinedSnapshots: s.QuarantinedSnapshots,
	}
	if s.UUID != "" {
		d.Quota = admin.QuotaKind(s.Quota)
	}
	for _, n := range s.OtherNodes {
		d.OtherNodes = append(d.OtherNodes, admin.NodeVolumes(n))
	}
	if !s.Space.MeasuredAt.IsZero() {
		d.MeasuredAt, d.SizeBytes, d.FreeBytes = &s.Space.MeasuredAt, &s.Space.SizeBytes, &s.Space.FreeBytes
	}
	if s.WhyAdvisory != nil {
		d.WhyAdvisory = s.WhyAdvisory.Error()
	}
	if s.Cordoned != nil {
		d.Cordoned = s.Cordoned.Error()
	}
	switch {
	case s.Err != nil:
		d.State, d.Message, d.Reason = admin.Unusable, s.Err.Error(), admin.Reason(s.Reason)
	case s.Space.Refuses != nil:
		d.State, d.Message = admin.NoNewVolumes, s.Space.Refuses.Error()
	case s.Cordoned != nil:
		d.State, d.Message = admin.CordonedOff, d.Cordoned
	}
	return d
}

// volumes asks the store.
func volumes(s *store.Store) admin.Volumes {
	v := admin.Volumes{Volumes: []admin.Volume{}}
	taken := s.SnapshotCounts()
	for _, status := range s.VolumeStatus() {
		each := volume(status)
		each.Snapshots = taken[status.ID]
		v.Volumes = append(v.Volumes, each)
	}
	return v
}

// volume is what a person may want to know of a volume.
func volume(s store.VolumeStatus) admin.Volume {
	v := admin.Volume{ID: s.ID, Name: s.Name, Pool: s.Pool, Path: s.Path}
	if s.Quarantine != nil {
		v.Quarantine = s.Quarantine.Error()
		return v
	}
	v.CapacityBytes, v.Enforced, v.Created = s.CapacityBytes, s.Enforced, &s.Created
	v.Claim, v.Node, v.Source, v.Origin = claimOrNil(s.Claim), s.Node, s.Source, s.Origin
	if s.Quota != nil {
		v.Quota = admin.QuotaKind(s.Quota.Kind)
	}
	if !s.Usage.At.IsZero() {
		v.Used = &admin.Used{Bytes: s.Usage.Bytes, At: s.Usage.At}
		if v.Quota != admin.BtrfsQuota {
			v.Used.Inodes = &s.Usage.Inodes
		}
	}
	return v
}
