package inputs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestManyCallsAtOnce creates volumes on a disk that takes its time, all at
// once: they wait for each other, not each for itself in a thread of its own.
func TestManyCallsAtOnce(t *testing.T) {
	const calls, most = 1000, 200
	plugin.RequireRoot(t)
	s := startOn(t, disk.Mount(t, "ext4", 1536*mebibyte))
	var creates sync.WaitGroup
	var left atomic.Int64
	left.Store(calls)
	for i := range calls {
		creates.Go(func() {
			defer left.Add(-1)
			req := goodCreate(fmt.Sprintf("pvc-%d", i))
			_, err := s.CreateVolume(s.ctx, req)
			wantCode(t, err, codes.OK, "")
		})
	}
	var peak int
	for pid := s.PID(); left.Load() > 0; time.Sleep(10 * time.Millisecond) {
		peak = max(peak, threads(t, pid))
	}
	creates.Wait()
	t.Logf("%d calls at once took %d threads", calls, peak)
	if peak == 0 || peak > most {
		t.Errorf("%d calls at once took %d threads, want at most %d", calls, peak, most)
	}
}

// threads asks the kernel how many the program has.
func threads(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nThreads:")
	line, _, _ := strings.Cut(after, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
