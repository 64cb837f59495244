package driver

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestServices checks what the driver says of itself. Kubernetes' sidecars and
// kubelet choose by this which calls they make.
func TestServices(t *testing.T) {
	s := startDriver(t)
	info, err := s.identity.GetPluginInfo(s.ctx, &csi.GetPluginInfoRequest{})
	if err != nil || info.GetName() != "csi.hostdir.io" || info.GetVendorVersion() != "test" {
		t.Errorf("plugin info %v: %v", info, err)
	}
	probe, err := s.identity.Probe(s.ctx, &csi.ProbeRequest{})
	if err != nil || !probe.GetReady().GetValue() {
		t.Errorf("probe %v: %v", probe, err)
	}

	var got []string
	services, err := s.identity.GetPluginCapabilities(s.ctx, &csi.GetPluginCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range services.GetCapabilities() {
		if service := c.GetService(); service != nil {
			got = append(got, "plugin "+service.GetType().String())
		}
		if expansion := c.GetVolumeExpansion(); expansion != nil {
			got = append(got, "expansion "+expansion.GetType().String())
		}
	}
	controller, err := s.controller.ControllerGetCapabilities(s.ctx, &csi.ControllerGetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controller.GetCapabilities() {
		got = append(got, "controller "+c.GetRpc().GetType().String())
	}
	node, err := s.node.NodeGetCapabilities(s.ctx, &csi.NodeGetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range node.GetCapabilities() {
		got = append(got, "node "+c.GetRpc().GetType().String())
	}
	want := []string{
		"plugin CONTROLLER_SERVICE",
		"plugin VOLUME_ACCESSIBILITY_CONSTRAINTS", "plugin GROUP_CONTROLLER_SERVICE",
		"expansion ONLINE",
		"controller CREATE_DELETE_VOLUME",
		"controller GET_CAPACITY",
		"controller LIST_VOLUMES",
		"controller SINGLE_NODE_MULTI_WRITER", "controller CREATE_DELETE_SNAPSHOT", "controller LIST_SNAPSHOTS", "controller GET_SNAPSHOT", "controller CLONE_VOLUME",
		"node GET_VOLUME_STATS",
		"node EXPAND_VOLUME",
		"node GET_VOLUME_HEALTH",
		"node GET_STORAGE_HEALTH",
		"node SINGLE_NODE_MULTI_WRITER",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
}

func TestTopology(t *testing.T) {
	s := startDriver(t)
	info, err := s.node.NodeGetInfo(s.ctx, &csi.NodeGetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"csi.hostdir.io/node": plugin.NodeName}
	if info.GetNodeId() != plugin.NodeName || info.GetMaxVolumesPerNode() != 0 {
		t.Errorf("node info %v", info)
	}
	if diff := cmp.Diff(want, info.GetAccessibleTopology().GetSegments()); diff != "" {
		t.Errorf("the node's topology (-want +got):\n%s", diff)
	}
	resp, err := s.controller.CreateVolume(s.ctx, createRequest("pvc-1"))
	if err != nil || len(resp.GetVolume().GetAccessibleTopology()) != 1 {
		t.Fatalf("volume %v: %v", resp, err)
	}
	if diff := cmp.Diff(want, resp.GetVolume().GetAccessibleTopology()[0].GetSegments()); diff != "" {
		t.Errorf("the volume's topology (-want +got):\n%s", diff)
	}
}

func TestTopologyValue(t *testing.T) {
	label := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	long := strings.Repeat("n", maxLabel)
	for _, test := range []struct {
		name, node string
		kept       bool
	}{
		{"a short name", "node-1", true},
		{"a name with dots", "node-1.lab.example.com", true},
		{"the longest label", long, true},
		{"one more", long + "n", false},
		{"the longest node name", strings.Repeat("node.", 50) + "com", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := topologyValue(test.node)
			if !label.MatchString(got) {
				t.Errorf("%q is no label", got)
			}
			if (got == test.node) != test.kept {
				t.Errorf("%q became %q", test.node, got)
			}
			if got != topologyValue(test.node) {
				t.Error("the value changes")
			}
		})
	}
	if topologyValue(long+"a") == topologyValue(long+"b") {
		t.Error("two nodes have one value")
	}
	// Volumes are bound to it: it must be the same in every release.
	if got, want := topologyValue(long+"n"), strings.Repeat("n", 52)+"-ce068a195a"; got != want {
		t.Errorf("the value that was cut short is %s, it was %s", got, want)
	}
}

func TestCheckAccessible(t *testing.T) {
	here := map[string]string{"csi.hostdir.io/node": "node-1"}
	there := map[string]string{"csi.hostdir.io/node": "node-2"}
	d := &Driver{Identity: Identity{Name: DefaultName}, NodeName: "node-1"}
	for _, test := range []struct {
		name      string
		requisite []map[string]string
		want      error
	}{
		{"nothing is asked", nil, nil},
		{"here", []map[string]string{here}, nil},
		{"there or here", []map[string]string{there, here}, nil},
		{"there", []map[string]string{there}, errdefs.ErrNoSpace},
		{"in a zone", []map[string]string{{"topology.kubernetes.io/zone": "a"}}, errdefs.ErrNoSpace},
		{"here and in a zone", []map[string]string{{"csi.hostdir.io/node": "node-1", "topology.kubernetes.io/zone": "a"}}, errdefs.ErrNoSpace},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &csi.TopologyRequirement{}
			for _, segments := range test.requisite {
				r.Requisite = append(r.Requisite, &csi.Topology{Segments: segments})
			}
			if err := d.checkAccessible(r); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}
