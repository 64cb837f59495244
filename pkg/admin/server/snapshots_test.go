package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

func takeSnapshot(t *testing.T, s *store.Store, v store.Volume, name string) store.Snapshot {
	t.Helper()
	made, err := s.CreateSnapshot(t.Context(), store.SnapshotRequest{
		Name: "snapshot-" + name, Source: v.ID, Class: config.SnapshotClass{Consistency: config.ConsistencyAny, Copy: config.CopyAuto},
		VolumeSnapshot: store.Claim{Namespace: "shop", Name: name}, Content: "content-" + name,
	}, func(*os.File) error { return nil })
	if err != nil || !made.Ready {
		t.Fatalf("%+v: %v", made, err)
	}
	return made
}

func TestSnapshots(t *testing.T) {
	layout := plugin.Layout(t, "")
	before, err := store.Open(t.Context(), plugin.NodeName, layout.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	before.Look(t.Context())
	v := create(t, before, "a")
	made, broken := takeSnapshot(t, before, v, "nightly"), takeSnapshot(t, before, v, "broken")
	if err := os.Remove(filepath.Join(filepath.Dir(broken.Path), "snapshot.json")); err != nil {
		t.Fatal(err)
	}
	clone, err := before.Create(t.Context(), store.CreateRequest{
		Name: "pvc-clone", Source: made.ID, Class: config.Class{Pool: config.DefaultPool, Mode: "0777", Quota: config.QuotaOff}, Claim: store.Claim{Namespace: "shop", Name: "clone"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := serve(t, layout.Config, layout.Base)
	got, err := c.Snapshots(t.Context())
	if err != nil || len(got.Snapshots) != 2 {
		t.Fatalf("%+v: %v", got, err)
	}
	want := admin.Snapshots{Snapshots: []admin.Snapshot{
		{ID: broken.ID, Pool: "default", Path: broken.Path, Quarantine: "its snapshot.json is gone"},
		{
			ID: made.ID, Name: "snapshot-nightly", VolumeSnapshot: &admin.Claim{Namespace: "shop", Name: "nightly"}, Content: "content-nightly",
			SourceVolume: v.ID, Claim: &admin.Claim{Namespace: "shop", Name: "a"}, Origin: made.Origin, Pool: "default", Node: plugin.NodeName, Path: made.Path,
			CapacityBytes: v.CapacityBytes, Bytes: made.Bytes, Files: made.Files, AloneBytes: got.Snapshots[1].AloneBytes,
			Method: string(made.Method), Consistency: string(made.Consistency), Created: &made.Created, Ready: true,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
	if alone := got.Snapshots[1].AloneBytes; made.Method == store.SnapshotCopy && (alone == nil || *alone != made.Bytes) {
		t.Errorf("a copy holds %v alone, and %d in all", alone, made.Bytes)
	}

	volumes, err := c.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range volumes.Volumes {
		source, taken := "", 1 // the one in quarantine does not say whose it is
		if got.ID == clone.ID {
			source, taken = made.ID, 0
		}
		if got.Source != source || got.Snapshots != taken {
			t.Errorf("volume %s began as %q, and %d snapshots of it were taken; want %q, %d", got.ID, got.Source, got.Snapshots, source, taken)
		}
	}
	disks, err := c.Disks(t.Context())
	if err != nil || disks.Disks[0].Snapshots != 2 || disks.Disks[0].QuarantinedSnapshots != 1 || disks.Disks[0].SnapshotBytes != made.Bytes {
		t.Errorf("the disk is %+v (%v)", disks.Disks, err)
	}
}

// TestNoSnapshots answers with an empty list, not with null.
func TestNoSnapshots(t *testing.T) {
	got, err := serve(t, plugin.Layout(t, "").Config, "").Snapshots(t.Context())
	if err != nil || got.Snapshots == nil || len(got.Snapshots) != 0 {
		t.Errorf("no snapshots are %#v (%v)", got.Snapshots, err)
	}
}
