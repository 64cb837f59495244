package driver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hostdir/hostdir/pkg/metrics"
	"github.com/hostdir/hostdir/tests/plugin"
)

// stuck is a driver whose volumes are on a disk that does not answer until go
// tells it to.
type stuck struct {
	Announcement
	working, most, ended atomic.Int64
	goOn                 chan struct{}
}

func (s *stuck) CreateVolume(context.Context, *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	n := s.working.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	<-s.goOn
	s.working.Add(-1)
	if s.ended.Add(1) <= 3 {
		panic("a call that fails gives its place back as well")
	}
	return &csi.CreateVolumeResponse{}, nil
}

func (*stuck) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	return &csi.GetCapacityResponse{}, nil
}

func (*stuck) NodeUnpublishVolume(context.Context, *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// TestBounds makes two thousand calls at once while the disk does not answer.
func TestBounds(t *testing.T) {
	const calls = 2000
	s := &stuck{goOn: make(chan struct{})}
	connect := serveOn(t, func(ctx context.Context, socketPath string) error { return serve(ctx, socketPath, s, &metrics.Calls{}) })
	ctx := plugin.Context(t)
	controller := csi.NewControllerClient(connect())
	var creates sync.WaitGroup
	var answered atomic.Int64
	create := func() {
		controller.CreateVolume(ctx, &csi.CreateVolumeRequest{})
		answered.Add(1)
	}
	for range maxChanges {
		creates.Go(create)
	}
	for s.working.Load() < maxChanges {
		time.Sleep(time.Millisecond)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err := controller.CreateVolume(short, &csi.CreateVolumeRequest{})
	wantCode(t, err, codes.DeadlineExceeded)
	for range calls - maxChanges {
		creates.Go(create)
	}

	// Nobody else waits for them.
	other := connect()
	_, err = csi.NewIdentityClient(other).Probe(ctx, &csi.ProbeRequest{})
	wantCode(t, err, codes.OK)
	_, err = csi.NewControllerClient(other).GetCapacity(ctx, &csi.GetCapacityRequest{})
	wantCode(t, err, codes.OK)
	_, err = csi.NewNodeClient(other).NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{})
	wantCode(t, err, codes.OK)
	if n := answered.Load(); n > 0 {
		t.Errorf("%d calls ended while the disk did not answer", n)
	}

	close(s.goOn)
	creates.Wait()
	if s.most.Load() != maxChanges || s.ended.Load() != calls {
		t.Errorf("at most %d calls worked at once, want %d; %d worked, want %d", s.most.Load(), maxChanges, s.ended.Load(), calls)
	}
}

// TestRequestSizes sends what csi-provisioner may send in a large cluster, and
// more than anybody should.
func TestRequestSizes(t *testing.T) {
	s := startDriver(t)
	req := createRequest("pvc-1")
	info, err := s.node.NodeGetInfo(s.ctx, &csi.NodeGetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	req.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{info.GetAccessibleTopology()}}
	for i := range 9_999 {
		req.AccessibilityRequirements.Requisite = append(req.AccessibilityRequirements.Requisite, &csi.Topology{
			Segments: map[string]string{"csi.hostdir.io/node": fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", i/256, i%256)},
		})
	}
	_, err = s.controller.CreateVolume(s.ctx, req)
	wantCode(t, err, codes.OK)
	t.Logf("a cluster of 10,000 nodes takes %d bytes", proto.Size(req))

	_, err = s.controller.CreateVolume(s.ctx, &csi.CreateVolumeRequest{Name: strings.Repeat("n", maxRequest)})
	wantCode(t, err, codes.ResourceExhausted) // gRPC's code, before the driver sees it
	if err != nil && !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("the error does not say why: %v", err)
	}
}
