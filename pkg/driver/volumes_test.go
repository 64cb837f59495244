package driver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

func TestDeletePublished(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	data := filepath.Join(s.volumes, "pvc-1", "data")
	if err := os.MkdirAll(filepath.Join(data, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.publish(id, s.target(1), capability(writer)), codes.OK)
	wantCode(t, s.deleteNow(id), codes.FailedPrecondition)

	// A container's subPath alone.
	if err := os.Mkdir(s.target(2), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(data, "sub"), s.target(2), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.unpublish(id, s.target(1)), codes.OK)
	wantCode(t, s.deleteNow(id), codes.FailedPrecondition)
	if _, err := os.Stat(data); err != nil {
		t.Errorf("the volume whose deletion is refused: %v", err)
	}

	if err := unix.Unmount(s.target(2), 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.delete(id), codes.OK)
	wantCode(t, s.delete(id), codes.OK)
}

func TestPublishModes(t *testing.T) {
	for _, test := range []struct {
		name          string
		first, second *csi.VolumeCapability
		sameTarget    bool
		want          codes.Code
	}{
		{"two pods", capability(writer), capability(writer), false, codes.OK},
		{"two pods, each a writer", capability(multiWriter), capability(multiWriter), false, codes.OK},
		{"two pods, one allowed", capability(singleWriter), capability(singleWriter), false, codes.FailedPrecondition},
		{"a retry", capability(writer), capability(writer), true, codes.OK},
		{"a retry, one pod allowed", capability(singleWriter), capability(singleWriter), true, codes.OK},
		{"a retry, other options", capability(writer), capability(writer, "ro"), true, codes.AlreadyExists},
		{"a retry to read only", capability(writer), capability(reader), true, codes.AlreadyExists},
		{"a retry of a reader to write", capability(reader), capability(writer), true, codes.AlreadyExists},
		{"a retry, read-only in other words", capability(reader), capability(writer, "ro"), true, codes.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startDriver(t)
			id := s.create(t, "pvc-1")
			wantCode(t, s.publish(id, s.target(1), test.first), codes.OK)
			second := s.target(2)
			if test.sameTarget {
				second = s.target(1)
			}
			wantCode(t, s.publish(id, second, test.second), test.want)
			wantCode(t, s.unpublish(id, s.target(1)), codes.OK)
			wantCode(t, s.unpublish(id, s.target(2)), codes.OK)
			wantCode(t, s.delete(id), codes.OK)
		})
	}
}

func TestPublishReadOnly(t *testing.T) {
	s := startDriver(t)
	for _, test := range []struct {
		name string
		req  *csi.NodePublishVolumeRequest
		want bool
	}{
		{"not asked", &csi.NodePublishVolumeRequest{VolumeCapability: capability(writer)}, false},
		{"by the pod", &csi.NodePublishVolumeRequest{VolumeCapability: capability(writer), Readonly: true}, true},
		{"by the access mode", &csi.NodePublishVolumeRequest{VolumeCapability: capability(reader)}, true},
		{"by a mount option", &csi.NodePublishVolumeRequest{VolumeCapability: capability(writer, "ro")}, true},
		{"by all of them", &csi.NodePublishVolumeRequest{VolumeCapability: capability(reader, "ro"), Readonly: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := s.create(t, "pvc-1")
			test.req.VolumeId, test.req.TargetPath = id, s.target(1)
			if _, err := s.node.NodePublishVolume(s.ctx, test.req); err != nil {
				t.Fatal(err)
			}
			err := os.WriteFile(filepath.Join(s.target(1), "file"), nil, 0o644)
			if got := errors.Is(err, unix.EROFS); got != test.want {
				t.Errorf("a write ends with %v, read-only was asked: %t", err, test.want)
			}
			wantCode(t, s.unpublish(id, s.target(1)), codes.OK)
		})
	}
}

// TestBusy holds one call on a volume and makes another.
func TestBusy(t *testing.T) {
	s := startDriver(t)
	id, other := s.create(t, "pvc-1"), s.create(t, "pvc-2")
	others := func(held string) {
		t.Run(held, func(t *testing.T) {
			wantCode(t, s.publish(id, s.target(1), capability(writer)), codes.Aborted)
			wantCode(t, s.unpublish(id, s.target(1)), codes.Aborted)
			wantCode(t, s.deleteNow(id), codes.Aborted)
			_, err := s.controller.CreateVolume(s.ctx, createRequest("pvc-1"))
			wantCode(t, err, codes.Aborted)
			// Another volume's calls know nothing of this.
			wantCode(t, s.publish(other, s.target(2), capability(writer)), codes.OK)
			wantCode(t, s.unpublish(other, s.target(2)), codes.OK)
		})
	}
	err := s.Store.WithData(s.ctx, id, func(*os.File) error {
		others("while it is published")
		return nil
	})
	wantCode(t, err, codes.OK)
	err = s.Store.WithLock(id, func() error {
		others("while it is unpublished")
		return nil
	})
	wantCode(t, err, codes.OK)
	err = s.Store.Delete(s.ctx, id, func(*os.File) error {
		others("while it is deleted")
		return nil
	})
	wantCode(t, err, codes.OK)
	wantCode(t, s.publish(id, s.target(1), capability(writer)), codes.NotFound)
}

func TestUnpublishOfDeleted(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	wantCode(t, s.publish(id, s.target(1), capability(writer)), codes.OK)
	if err := os.RemoveAll(filepath.Join(s.volumes, "pvc-1")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.unpublish(id, s.target(1)), codes.OK)
	if _, err := os.Lstat(s.target(1)); !os.IsNotExist(err) {
		t.Errorf("the target stays: %v", err)
	}
}

func TestVolumeStats(t *testing.T) {
	s := startDriver(t)
	id := s.create(t, "pvc-1")
	wantCode(t, s.publish(id, s.target(1), capability(writer)), codes.OK)
	stats := func(volumeID, path string) (*csi.NodeGetVolumeStatsResponse, error) {
		return s.node.NodeGetVolumeStats(s.ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: volumeID, VolumePath: path})
	}
	resp, err := stats(id, s.target(1))
	if err != nil {
		t.Fatal(err)
	}
	units := map[csi.VolumeUsage_Unit]bool{}
	for _, u := range resp.GetUsage() {
		units[u.GetUnit()] = true
		if u.GetTotal() <= 0 || u.GetUsed() < 0 || u.GetUsed()+u.GetAvailable() > u.GetTotal() {
			t.Errorf("usage %v does not add up", u)
		}
	}
	if !units[csi.VolumeUsage_BYTES] || !units[csi.VolumeUsage_INODES] {
		t.Errorf("usage %v, want bytes and inodes", resp.GetUsage())
	}
	for _, path := range []string{s.target(2), "/", s.volumes, "target"} {
		_, err := stats(id, path)
		wantCode(t, err, codes.NotFound)
	}
	_, err = stats(id, "")
	wantCode(t, err, codes.InvalidArgument)
}

func TestValidateVolumeCapabilities(t *testing.T) {
	s := startDriver(t)
	made := createRequest("pvc-1")
	made.Parameters = map[string]string{"pool": "default", "uid": "1000", metadataPrefix + "pvc/name": "data", metadataPrefix + "pvc/namespace": "shop"}
	created, err := s.controller.CreateVolume(s.ctx, made)
	if err != nil {
		t.Fatal(err)
	}
	one := []*csi.VolumeCapability{capability(writer)}
	for _, test := range []struct {
		name      string
		caps      []*csi.VolumeCapability
		params    map[string]string
		context   map[string]string
		confirmed bool
	}{
		{"one writer", one, nil, nil, true},
		{"the parameters that it was made with", one, made.Parameters, nil, true},
		{"the same, with a default spelt out", one, map[string]string{"uid": "1000", "quota": "auto", "mode": "777"}, nil, true},
		{"a context that is empty", one, nil, map[string]string{}, true},
		{"many nodes", []*csi.VolumeCapability{capability(csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER)}, nil, nil, false},
		{"a mount flag", []*csi.VolumeCapability{capability(writer, "suid")}, nil, nil, false},
		{"an unknown parameter", one, map[string]string{"uid": "1000", "quality": "best"}, nil, false},
		{"another pool", one, map[string]string{"pool": "another", "uid": "1000"}, nil, false},
		{"another owner", one, map[string]string{"uid": "77"}, nil, false},
		{"no owner", one, map[string]string{"pool": "default"}, nil, false},
		{"a context", one, nil, map[string]string{"made": "up"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, err := s.controller.ValidateVolumeCapabilities(s.ctx, &csi.ValidateVolumeCapabilitiesRequest{
				VolumeId: created.GetVolume().GetVolumeId(), VolumeCapabilities: test.caps, Parameters: test.params, VolumeContext: test.context,
			})
			if err != nil {
				t.Fatal(err)
			}
			if (resp.GetConfirmed() != nil) != test.confirmed || (resp.GetMessage() == "") != test.confirmed {
				t.Errorf("the answer is %v", resp)
			}
		})
	}
}

// TestAccessModesAreKept writes down what the claim has asked for, in its words.
func TestAccessModesAreKept(t *testing.T) {
	for _, test := range []struct {
		modes []csi.VolumeCapability_AccessMode_Mode
		want  []string
	}{
		{[]csi.VolumeCapability_AccessMode_Mode{writer}, []string{"ReadWriteOnce"}},
		{[]csi.VolumeCapability_AccessMode_Mode{multiWriter}, []string{"ReadWriteOnce"}},
		{[]csi.VolumeCapability_AccessMode_Mode{singleWriter}, []string{"ReadWriteOncePod"}},
		{[]csi.VolumeCapability_AccessMode_Mode{multiWriter, singleWriter, writer}, []string{"ReadWriteOnce", "ReadWriteOncePod"}},
		{[]csi.VolumeCapability_AccessMode_Mode{reader}, nil},
	} {
		s, req := startDriver(t), createRequest("pvc-1")
		req.VolumeCapabilities = nil
		for _, mode := range test.modes {
			req.VolumeCapabilities = append(req.VolumeCapabilities, capability(mode))
		}
		resp, err := s.controller.CreateVolume(s.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.Store.Volume(s.ctx, resp.GetVolume().GetVolumeId()); err != nil || !slices.Equal(v.AccessModes, test.want) {
			t.Errorf("of %v are kept %q (%v), want %q", test.modes, v.AccessModes, err, test.want)
		}
	}
}

// TestMountOptionsAreKept writes down what the class has mounted its volumes with:
// who adopts the volume one day needs it.
func TestMountOptionsAreKept(t *testing.T) {
	s := startDriver(t)
	req := createRequest("pvc-1")
	options := []string{"noexec", "noatime"}
	req.VolumeCapabilities = []*csi.VolumeCapability{capability(writer, options...)}
	resp, err := s.controller.CreateVolume(s.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Store.Volume(s.ctx, resp.GetVolume().GetVolumeId())
	if err != nil || !slices.Equal(v.MountOptions, options) {
		t.Errorf("mount options %q, %v; want %q", v.MountOptions, err, options)
	}
}
