package restore

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// csiDriver is the driver of a node, whose one disk has the node's name as UUID. It
// answers as hostdir does when a volume begins as a copy.
type csiDriver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	node string

	mu    sync.Mutex // guards what is below
	full  bool
	calls map[string]int // of CreateVolume, by claim
}

// serve serves it until the test ends, and returns its socket.
func (d *csiDriver) serve(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "csi.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	csi.RegisterIdentityServer(s, d)
	csi.RegisterControllerServer(s, d)
	csi.RegisterNodeServer(s, d)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return socket
}

func (d *csiDriver) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// asked returns how often a claim's volume was asked for.
func (d *csiDriver) asked(claim string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[claim]
}

func (d *csiDriver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[r.Parameters["csi.storage.k8s.io/pvc/namespace"]+"/"+r.Parameters["csi.storage.k8s.io/pvc/name"]]++
	source := r.GetVolumeContentSource().GetSnapshot().GetSnapshotId() + r.GetVolumeContentSource().GetVolume().GetVolumeId()
	if !strings.HasPrefix(source, d.node+".") {
		return nil, status.Errorf(codes.ResourceExhausted, "no room on this node: it begins as a copy of %q, which is on another node", source)
	}
	if d.full {
		return nil, status.Errorf(codes.ResourceExhausted, "no room on this node: only its disk has %s", source)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: d.node + "." + r.Name, CapacityBytes: r.CapacityRange.RequiredBytes, ContentSource: r.VolumeContentSource, AccessibleTopology: []*csi.Topology{d.topology()},
	}}, nil
}

func (d *csiDriver) topology() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{driver + "/node": d.node}}
}

func (d *csiDriver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driver, VendorVersion: "test"}, nil
}

func (d *csiDriver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *csiDriver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	var all []*csi.PluginCapability
	for _, c := range []csi.PluginCapability_Service_Type{csi.PluginCapability_Service_CONTROLLER_SERVICE, csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS} {
		all = append(all, &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: c}}})
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: all}, nil
}

func (d *csiDriver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	var all []*csi.ControllerServiceCapability
	for _, c := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT, csi.ControllerServiceCapability_RPC_CLONE_VOLUME, csi.ControllerServiceCapability_RPC_GET_CAPACITY,
	} {
		all = append(all, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: c}}})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: all}, nil
}

func (d *csiDriver) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	return &csi.GetCapacityResponse{AvailableCapacity: 1 << 40}, nil
}

func (d *csiDriver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node, AccessibleTopology: d.topology()}, nil
}

func (d *csiDriver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}
