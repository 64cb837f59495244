package inputs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// elsewhere is the UUID of a disk that no node has.
const elsewhere = "00000000-0000-4000-8000-000000000000"

func TestVolumeIDs(t *testing.T) {
	s := start(t)
	here, _, _ := strings.Cut(s.create(t, "pvc-neighbour"), ".")
	target := filepath.Join(s.KubeletDir, "target")
	before := snapshot(t, s.root)
	for _, test := range []struct {
		name, id      string
		delete, other codes.Code // other: publish, stats and validation
	}{
		{"no ID", "", codes.InvalidArgument, codes.InvalidArgument},
		{"a path upwards", "../x", codes.OK, codes.NotFound},
		{"an absolute path", "/etc", codes.OK, codes.NotFound},
		{"one dot", ".", codes.OK, codes.NotFound},
		{"any word", "volume", codes.OK, codes.NotFound},
		{"a pool without a name", here, codes.OK, codes.NotFound},
		{"a pool and an empty name", here + ".", codes.OK, codes.NotFound},
		{"a path upwards in this pool", here + ".../x", codes.OK, codes.NotFound},
		{"two dots in this pool", here + "...", codes.OK, codes.NotFound},
		{"a path into a volume", here + ".pvc-neighbour/data", codes.OK, codes.NotFound},
		{"a volume and a slash", here + ".pvc-neighbour/", codes.OK, codes.NotFound},
		{"a volume and NUL", here + ".pvc-neighbour\x00", codes.OK, codes.NotFound},
		{"a volume and a newline", here + ".pvc-neighbour\n", codes.OK, codes.NotFound},
		{"a volume in capitals", here + ".PVC-NEIGHBOUR", codes.OK, codes.NotFound},
		{"the trash", here + ".trash", codes.OK, codes.NotFound},
		{"the record", here + ".volume.json", codes.OK, codes.NotFound},
		{"the marker", here + ".disk.json", codes.OK, codes.NotFound},
		{"the directory of claims", here + ".claims", codes.OK, codes.NotFound},
		{"a volume that is being built", here + "..new-pvc-neighbour", codes.OK, codes.NotFound},
		{"a volume that is gone", here + ".pvc-gone", codes.OK, codes.NotFound},
		{"a pool that is elsewhere", elsewhere + ".pvc-neighbour", codes.FailedPrecondition, codes.FailedPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCode(t, s.delete(test.id), test.delete, "")
			wantCode(t, s.publish(test.id, target), test.other, "")
			_, err := s.ValidateVolumeCapabilities(s.ctx, &csi.ValidateVolumeCapabilitiesRequest{
				VolumeId:           test.id,
				VolumeCapabilities: []*csi.VolumeCapability{plugin.Capability(plugin.SingleWriter)},
			})
			wantCode(t, err, test.other, "")
			_, err = s.NodeGetVolumeStats(s.ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: test.id, VolumePath: target})
			wantCode(t, err, test.other, "")
			wantSame(t, s.root, before)
		})
	}
}

func TestCapacityIgnoresWhatKubernetesAdds(t *testing.T) {
	s := startOn(t, disk.Mount(t, "ext4", 64*mebibyte))
	capacity := func(parameters map[string]string) int64 {
		t.Helper()
		resp, err := s.GetCapacity(s.ctx, &csi.GetCapacityRequest{Parameters: parameters})
		if err != nil {
			t.Fatal(err)
		}
		if most := resp.GetMaximumVolumeSize().GetValue(); most != resp.GetAvailableCapacity() {
			t.Errorf("of %d bytes the largest volume takes %d", resp.GetAvailableCapacity(), most)
		}
		return resp.GetAvailableCapacity()
	}
	all := capacity(nil)
	if all <= 0 || all > 64*mebibyte {
		t.Errorf("an empty disk of 64 MiB has room for %d bytes", all)
	}
	for _, test := range []struct {
		name       string
		parameters map[string]string
		want       int64
	}{
		{"claim and volume", map[string]string{
			"csi.storage.k8s.io/pvc/name":      "www-web-0",
			"csi.storage.k8s.io/pvc/namespace": "shop",
			"csi.storage.k8s.io/pv/name":       "pvc-1",
		}, all},
		{"file system", map[string]string{"csi.storage.k8s.io/fstype": "xfs", "pool": "default"}, all},
		{"a key that nobody knows yet", map[string]string{"csi.storage.k8s.io/../../etc": ".."}, all},
		{"beside a pool that is not here", map[string]string{"csi.storage.k8s.io/fstype": "xfs", "pool": "nvme"}, 0},
		{"beside a pool that is a path", map[string]string{"csi.storage.k8s.io/fstype": "xfs", "pool": "../etc"}, 0},
		// CreateVolume reports the mistake. It is called only where there is room.
		{"beside an unknown parameter", map[string]string{"csi.storage.k8s.io/fstype": "xfs", "quality": "best"}, all},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := capacity(test.parameters); got != test.want {
				t.Errorf("room for %d bytes, want %d", got, test.want)
			}
		})
	}
}
