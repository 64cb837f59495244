package faults

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

// snapshots are tried on a disk that has another snapshot.
var snapshots = []operation{
	{
		name:    "CreateSnapshot",
		prepare: prepareFilled,
		call:    snapshotFirst,
		atomic:  true,
		undoes:  true,
		limits:  true,
		answers: ofSnapshot,
	},
	{
		name: "CreateSnapshot_again",
		prepare: func(t *testing.T, s *server) {
			prepareSnapshot(t, s)
			fill(t, filepath.Join(s.data("pvc-1"), "dir"))
		},
		call:    snapshotFirst,
		atomic:  true,
		undoes:  true,
		answers: ofSnapshot,
	},
	{
		name:    "DeleteSnapshot",
		prepare: prepareSnapshot,
		call: func(t *testing.T, s *server) error {
			_, err := s.DeleteSnapshot(s.ctx, &csi.DeleteSnapshotRequest{SnapshotId: s.volumeID(t, "snapshots.snapshot-1")})
			return err
		},
		atomic:  true,
		limits:  true,
		answers: ofDelete,
	},
	{
		name: "CreateVolume_of_snapshot",
		prepare: func(t *testing.T, s *server) {
			prepareSnapshot(t, s)
			if err := deleteFirst(t, s); err != nil {
				t.Fatal(err)
			}
			s.waitPurged(t)
		},
		call: func(t *testing.T, s *server) error {
			return s.createFrom(&csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
				Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: s.volumeID(t, "snapshots.snapshot-1")},
			}})
		},
		atomic:  true,
		undoes:  true,
		limits:  true,
		answers: ofCopy,
	},
	{
		name:    "CreateVolume_of_volume",
		prepare: prepareFilled,
		call: func(t *testing.T, s *server) error {
			return s.createFrom(&csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
				Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: s.volumeID(t, "pvc-1")},
			}})
		},
		atomic:  true,
		undoes:  true,
		answers: ofCopy,
	},
}

// They come first: at the end all trash is to be purged, and a disk whose hostdir was killed
// has to wait for its next one.
func init() { operations = append(snapshots, operations...) }

// ofSnapshot: whoever asked asks again.
func ofSnapshot(unix.Errno) []codes.Code {
	return []codes.Code{codes.Aborted, codes.Unavailable, codes.ResourceExhausted, codes.Internal}
}

// ofCopy: the node that has the data is asked again, whatever the scheduler does: no other
// can.
func ofCopy(errno unix.Errno) []codes.Code {
	return append(ofSnapshot(errno), codes.NotFound)
}

func prepareFilled(t *testing.T, s *server) {
	t.Helper()
	prepareFirst(t, s)
	fill(t, s.data("pvc-1"))
	if err := s.snapshot(t, "snapshot-other", "pvc-other"); err != nil {
		t.Fatal(err)
	}
}

func prepareSnapshot(t *testing.T, s *server) {
	t.Helper()
	prepareFilled(t, s)
	if err := snapshotFirst(t, s); err != nil {
		t.Fatal(err)
	}
}

func snapshotFirst(t *testing.T, s *server) error { return s.snapshot(t, "snapshot-1", "pvc-1") }

// snapshot asks for a snapshot until it is ready.
func (s *server) snapshot(t *testing.T, name, volume string) error {
	for {
		made, err := s.CreateSnapshot(s.ctx, &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: s.volumeID(t, volume)})
		if err != nil || made.GetSnapshot().GetReadyToUse() {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// createFrom makes volume pvc-copy of something.
func (s *server) createFrom(source *csi.VolumeContentSource) error {
	_, err := s.CreateVolume(s.ctx, &csi.CreateVolumeRequest{
		Name:                "pvc-copy",
		CapacityRange:       &csi.CapacityRange{RequiredBytes: mebibyte},
		VolumeCapabilities:  []*csi.VolumeCapability{capability()},
		VolumeContentSource: source,
	})
	return err
}
