package server

import (
	"context"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
)

// snapshots asks the store.
func snapshots(ctx context.Context, s *store.Store) admin.Snapshots {
	all := admin.Snapshots{Snapshots: []admin.Snapshot{}}
	for _, status := range s.SnapshotStatus(ctx) {
		all.Snapshots = append(all.Snapshots, snapshot(status))
	}
	for _, c := range s.Copies() {
		all.Copies = append(all.Copies, admin.Copy{Volume: c.Volume, Source: c.Source, Progress: progress(c.Progress)})
	}
	return all
}

func snapshot(s store.SnapshotStatus) admin.Snapshot {
	found := admin.Snapshot{ID: s.ID, Pool: s.Pool, Path: s.Path}
	if s.Quarantine != nil {
		found.Quarantine = s.Quarantine.Error()
		return found
	}
	found.Name, found.Claim, found.VolumeSnapshot = s.Name, claimOrNil(s.Claim), claimOrNil(s.VolumeSnapshot)
	found.Content, found.Group, found.SourceVolume, found.Origin, found.Node = s.Content, s.Group, s.SourceVolume, s.Origin, s.Node
	found.CapacityBytes, found.Bytes, found.Files, found.AloneBytes = s.CapacityBytes, s.Bytes, s.Files, s.AloneBytes
	found.Method, found.Consistency = string(s.Method), string(s.Consistency)
	found.Created, found.Ready, found.Progress = &s.Created, s.Ready, progress(s.Progress)
	return found
}
