package inputs

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCheckDuringCalls runs one `hostdir check` after the other while volumes come,
// grow, are published and go. None finds anything: what a call has in hand is no
// damage. A call that meets a check on its volume gets Aborted, as from any other.
func TestCheckDuringCalls(t *testing.T) {
	const workers, duration = 6, 5 * time.Second
	s := start(t)
	end := time.Now().Add(duration)
	var calls, aborted atomic.Int64
	try := func(err error) bool {
		t.Helper()
		calls.Add(1)
		switch status.Code(err) {
		case codes.OK:
			return true
		case codes.Aborted:
			aborted.Add(1)
		default:
			t.Error(err)
		}
		return false
	}
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(worker)))
			target := s.target(worker)
			for time.Now().Before(end) {
				name := fmt.Sprintf("pvc-%d-%d", worker, random.IntN(3))
				req := goodCreate(name)
				req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": fmt.Sprint("claim-", worker)}
				made, err := s.CreateVolume(s.ctx, req)
				if !try(err) {
					continue
				}
				id := made.GetVolume().GetVolumeId()
				if try(s.publish(id, target)) {
					_, err := s.NodeExpandVolume(s.ctx, &csi.NodeExpandVolumeRequest{
						VolumeId: id, VolumePath: target,
						CapacityRange: &csi.CapacityRange{RequiredBytes: made.GetVolume().GetCapacityBytes() + mebibyte},
					})
					try(err)
					for !try(s.unpublish(id, target)) && !t.Failed() {
					}
				}
				if random.IntN(2) == 0 {
					try(s.delete(id))
				}
			}
		})
	}
	checks := 0
	for ; time.Now().Before(end) && !t.Failed(); checks++ {
		plugin.CheckClean(t, s.Plugin)
	}
	wg.Wait()
	t.Logf("%d checks during %d calls, of which %d got Aborted", checks, calls.Load(), aborted.Load())
}
