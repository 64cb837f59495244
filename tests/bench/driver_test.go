package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hostdir/hostdir/pkg/driver"
	"github.com/hostdir/hostdir/pkg/mounter"
	"github.com/hostdir/hostdir/tests/plugin"
)

// service is a driver in this process, called through its socket, as kubelet and
// csi-provisioner do.
type service struct {
	csi.ControllerClient
	csi.NodeClient
	// pod is the directory of a pod.
	pod string
}

// serve starts a driver with a pool in a new directory.
func serve(b *testing.B) service {
	b.Helper()
	plugin.RequireRoot(b)
	root, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	pod := filepath.Join(root, "pods", "pod")
	if err := os.MkdirAll(pod, 0o755); err != nil {
		b.Fatal(err)
	}
	mounts, err := mounter.New(root, mounter.NewBind(filepath.Join(root, "mounting")))
	if err != nil {
		b.Fatal(err)
	}
	volumes, _ := open(b, 10)
	d := &driver.Driver{NodeName: "node", Store: volumes, Mounter: mounts}
	socket := filepath.Join(root, "csi.sock")
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Serve(ctx, socket) }()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return service{csi.NewControllerClient(conn), csi.NewNodeClient(conn), pod}
}

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
}

func (s service) create(b *testing.B, name string) (volumeID string) {
	b.Helper()
	resp, err := s.CreateVolume(b.Context(), &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: 1 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{capability()},
	}, grpc.WaitForReady(true))
	if err != nil {
		b.Fatal(err)
	}
	return resp.GetVolume().GetVolumeId()
}

// BenchmarkCreateVolume makes volumes through the driver.
func BenchmarkCreateVolume(b *testing.B) {
	s := serve(b)
	i := 0
	for b.Loop() {
		s.create(b, fmt.Sprintf("new-%d", i))
		i++
	}
}

// BenchmarkPublish publishes a volume at a pod and takes it away, and reports how
// long either takes.
func BenchmarkPublish(b *testing.B) {
	s := serve(b)
	id := s.create(b, "volume")
	target := filepath.Join(s.pod, "mount")
	var publish, unpublish time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := s.NodePublishVolume(b.Context(), &csi.NodePublishVolumeRequest{
			VolumeId: id, TargetPath: target, VolumeCapability: capability(),
		}); err != nil {
			b.Fatal(err)
		}
		published := time.Now()
		publish += published.Sub(began)
		if _, err := s.NodeUnpublishVolume(b.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target}); err != nil {
			b.Fatal(err)
		}
		unpublish += time.Since(published)
	}
	b.ReportMetric(float64(publish.Nanoseconds())/float64(b.N), "publish-ns/op")
	b.ReportMetric(float64(unpublish.Nanoseconds())/float64(b.N), "unpublish-ns/op")
}
