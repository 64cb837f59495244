package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
)

func TestVolumeHealth(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	health := func() []*csi.VolumeHealth_VolumeHealthEntry {
		t.Helper()
		resp, err := s.node.NodeGetVolumeHealth(s.ctx, &csi.NodeGetVolumeHealthRequest{VolumeId: id})
		if err != nil || resp.GetVolumeHealth().GetVolumeId() != id {
			t.Fatalf("health %v: %v", resp, err)
		}
		return resp.GetVolumeHealth().GetHealthStatuses()
	}
	if problems := health(); len(problems) > 0 {
		t.Errorf("a new volume has problems: %v", problems)
	}
	if err := os.RemoveAll(filepath.Join(s.volumes, "pvc-1")); err != nil {
		t.Fatal(err)
	}
	problems := health()
	if len(problems) != 1 || problems[0].GetStatus() != csi.VolumeHealthErrorType_DATA_LOSS || problems[0].GetReason() == "" {
		t.Errorf("problems of a volume whose directory is gone: %v", problems)
	}
	deleted := s.create(t, "pvc-deleted")
	if err := s.delete(deleted); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "pvc-1", deleted} {
		want := map[bool]codes.Code{true: codes.InvalidArgument, false: codes.NotFound}[id == ""]
		_, err := s.node.NodeGetVolumeHealth(s.ctx, &csi.NodeGetVolumeHealthRequest{VolumeId: id})
		wantCode(t, err, want)
	}
}

func TestStorageHealth(t *testing.T) {
	s := startDriver(t)
	s.create(t, "pvc-1")
	resp, err := s.node.NodeGetStorageHealth(s.ctx, &csi.NodeGetStorageHealthRequest{})
	if err != nil || len(resp.GetBackendHealth()) > 0 {
		t.Fatalf("health of a good disk: %v, %v", resp, err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(s.volumes), "disk.json")); err != nil {
		t.Fatal(err)
	}
	s.Store.Look(s.ctx)
	resp, err = s.node.NodeGetStorageHealth(s.ctx, &csi.NodeGetStorageHealthRequest{})
	if err != nil || len(resp.GetBackendHealth()) != 1 || resp.GetBackendHealth()[0].GetStatus() != csi.StorageHealthErrorType_STORAGE_UNREACHABLE {
		t.Errorf("health of a disk that is gone: %v, %v", resp, err)
	}
}

func TestNodeExpandVolume(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	expand := func(id, path string, required, limit int64) (int64, error) {
		resp, err := s.node.NodeExpandVolume(s.ctx, &csi.NodeExpandVolumeRequest{
			VolumeId: id, VolumePath: path, CapacityRange: &csi.CapacityRange{RequiredBytes: required, LimitBytes: limit},
		})
		return resp.GetCapacityBytes(), err
	}
	const large = 8 << 20
	if got, err := expand(id, s.target(1), large, 0); err != nil || got != large {
		t.Errorf("expanded to %d: %v", got, err)
	}
	for _, test := range []struct {
		name            string
		id, path        string
		required, limit int64
		want            codes.Code
	}{
		{"less than it has", id, s.target(1), large / 2, 0, codes.OK},
		{"a limit below what it has", id, s.target(1), 0, large / 2, codes.OutOfRange},
		{"more than the disk", id, s.target(1), 1 << 60, 0, codes.ResourceExhausted},
		{"a negative size", id, s.target(1), -1, 0, codes.InvalidArgument},
		{"no path", id, "", large, 0, codes.InvalidArgument},
		{"no ID", "", s.target(1), large, 0, codes.InvalidArgument},
		{"an ID of nobody's", "pvc-1", s.target(1), large, 0, codes.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := expand(test.id, test.path, test.required, test.limit)
			wantCode(t, err, test.want)
		})
	}
}
