package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// on is a capability of this filesystem type.
func on(filesystem string) *csi.VolumeCapability {
	c := capability(writer)
	c.GetMount().FsType = filesystem
	return c
}

// TestFilesystemType asks all calls that have a capability for a filesystem type,
// on a pool that has one.
func TestFilesystemType(t *testing.T) {
	plugin.RequireRoot(t)
	for has, mount := range map[string]func() string{
		"ext4":  func() string { return disk.Mount(t, "ext4", 64<<20) },
		"xfs":   func() string { return disk.Mount(t, "xfs", 300<<20) },
		"btrfs": func() string { return disk.Mount(t, "btrfs", 128<<20) },
	} {
		t.Run(has, func(t *testing.T) {
			s := startDriverOn(t, plugin.Layout(t, mount()), DefaultName, plugin.NodeName)
			made := s.create(t, "pvc-made")
			wantCode(t, s.publish(made, s.target(0), capability(writer)), codes.OK)
			for i, test := range []struct {
				name       string
				caps       []*csi.VolumeCapability
				parameters map[string]string
				want       codes.Code
			}{
				{"none", []*csi.VolumeCapability{on("")}, nil, codes.OK},
				{"the pool's", []*csi.VolumeCapability{on(has)}, nil, codes.OK},
				{"the pool's, of one capability", []*csi.VolumeCapability{on(""), on(has)}, nil, codes.OK},
				{"another", []*csi.VolumeCapability{on("vfat")}, nil, codes.InvalidArgument},
				{"another, of one capability", []*csi.VolumeCapability{on(""), on("f2fs")}, nil, codes.InvalidArgument},
				{"another beside the pool's", []*csi.VolumeCapability{on(has), on("zfs")}, nil, codes.InvalidArgument},
				{"in capitals", []*csi.VolumeCapability{on(strings.ToUpper(has))}, nil, codes.InvalidArgument},
				{"with a space", []*csi.VolumeCapability{on(has + " ")}, nil, codes.InvalidArgument},
				{"the pool's, as a parameter", []*csi.VolumeCapability{on("")}, map[string]string{"csi.storage.k8s.io/fstype": has}, codes.OK},
				{"another, as a parameter", []*csi.VolumeCapability{on("")}, map[string]string{"csi.storage.k8s.io/fstype": "vfat"}, codes.InvalidArgument},
				{"two, one as a parameter", []*csi.VolumeCapability{on(has)}, map[string]string{"csi.storage.k8s.io/fstype": "vfat"}, codes.InvalidArgument},
			} {
				t.Run(test.name, func(t *testing.T) {
					name := fmt.Sprint("pvc-", i)
					req := createRequest(name)
					req.VolumeCapabilities, req.Parameters = test.caps, test.parameters
					resp, err := s.controller.CreateVolume(s.ctx, req)
					wantCode(t, err, test.want)
					if _, err := os.Lstat(filepath.Join(s.volumes, name)); (err == nil) != (test.want == codes.OK) {
						t.Errorf("the volume's directory: %v", err)
					}
					if err == nil {
						wantCode(t, s.delete(resp.GetVolume().GetVolumeId()), codes.OK)
					} else if message := status.Convert(err).Message(); !strings.Contains(message, has) {
						t.Errorf("the message does not say that the pool has %s: %s", has, message)
					}

					valid, err := s.controller.ValidateVolumeCapabilities(s.ctx, &csi.ValidateVolumeCapabilitiesRequest{
						VolumeId: made, VolumeCapabilities: test.caps, Parameters: test.parameters})
					wantCode(t, err, codes.OK)
					if confirmed := valid.GetConfirmed() != nil; confirmed != (test.want == codes.OK) {
						t.Errorf("confirmed: %t, %s", confirmed, valid.GetMessage())
					}
					if len(test.caps) > 1 || test.parameters != nil {
						return
					}
					wantCode(t, s.publish(made, s.target(1), test.caps[0]), test.want)
					wantCode(t, s.unpublish(made, s.target(1)), codes.OK)
					_, err = s.node.NodeExpandVolume(s.ctx, &csi.NodeExpandVolumeRequest{
						VolumeId: made, VolumePath: s.target(0), VolumeCapability: test.caps[0], CapacityRange: &csi.CapacityRange{RequiredBytes: 1}})
					wantCode(t, err, test.want)
				})
			}
			again := createRequest("pvc-made")
			again.VolumeCapabilities = []*csi.VolumeCapability{on("vfat")}
			_, err := s.controller.CreateVolume(s.ctx, again)
			wantCode(t, err, codes.AlreadyExists)
		})
	}
}

// TestFilesystemTypeOfDisks has a pool of two filesystems: the type chooses.
func TestFilesystemTypeOfDisks(t *testing.T) {
	plugin.RequireRoot(t)
	small, large := disk.Mount(t, "ext4", 64<<20), disk.Mount(t, "xfs", 300<<20)
	layout := plugin.Layout(t, small)
	layout.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", small, large))
	s := startDriverOn(t, layout, DefaultName, plugin.NodeName)
	for i, test := range []struct {
		filesystem string
		bytes      int64
		want       codes.Code
		says       string
		at         string
	}{
		{"", 1 << 20, codes.OK, "", large},
		{"ext4", 1 << 20, codes.OK, "", small},
		{"xfs", 1 << 20, codes.OK, "", large},
		{"btrfs", 1 << 20, codes.InvalidArgument, "ext4, xfs", ""},
		// Another node may have more room on the right one.
		{"ext4", 100 << 20, codes.ResourceExhausted, `it is on xfs, and the filesystem type "ext4" is asked for`, ""},
	} {
		req := createRequest(fmt.Sprint("pvc-", i))
		req.CapacityRange.RequiredBytes = test.bytes
		req.VolumeCapabilities = []*csi.VolumeCapability{on(test.filesystem)}
		_, err := s.controller.CreateVolume(s.ctx, req)
		wantCode(t, err, test.want)
		if message := status.Convert(err).Message(); !strings.Contains(message, test.says) {
			t.Errorf("the message does not say %q: %s", test.says, message)
		}
		if test.at == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(test.at, "volumes", req.GetName())); err != nil {
			t.Errorf("filesystem type %q: %v", test.filesystem, err)
		}
	}
}
