package hungdisk

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/tests/hungdisk/hang"
	"github.com/hostdir/hostdir/tests/plugin"
)

// wantStart launches the program while disks hang, and checks that the others are
// soon served.
func (n *node) wantStart(t *testing.T) {
	t.Helper()
	n.launch(t)
	left := time.Until(n.launched.Add(comesUp))
	n.awaitDisks(t, max(left, 0), "the healthy disks are ready, and the others not looked at yet", func(disks map[string]diskStatus) bool {
		for _, path := range []string{n.a, n.b, n.d} {
			if disks[path].State != ready {
				return false
			}
		}
		return n.hangs(disks, pending, unresponsive)
	})
	n.wantHealthy(t)
}

// TestHangsAtStart has disks hang before the program starts.
func TestHangsAtStart(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			volumes := n.prepareAll(t)
			n.Signal(t, syscall.SIGTERM)

			n.Hang(t)
			n.wantStart(t)
			n.wantAway(t, volumes, firstTime)
			n.awaitHang(t)
			n.wantKnown(t)
			n.wantSick(t, volumes[indexOf("health")])
			n.wantHealthy(t)
			n.wantPurged(t)
			n.wantAway(t, volumes, moment)
			n.wantRecovery(t, volumes)
		})
	}
}

// TestNewDiskHangs has disks hang that hostdir has never seen.
func TestNewDiskHangs(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	d := hang.Start(t)
	n := layout(t, on(t, d))
	d.Hang(t)
	n.wantStart(t)
	d.Answer(t)
	n.awaitRecovery(t)
	n.wantLife(t, "c")
}

// TestTerminated ends the program with SIGTERM while disks hang and calls wait
// for them.
func TestTerminated(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			volumes := n.prepareAll(t)
			n.Hang(t)
			n.callAndForget(t, volumes)
			n.wantEnd(t)

			n.wantStart(t)
			n.wantRecovery(t, volumes)
		})
	}
}

// callAndForget makes all calls, and leaves them in hand.
func (n *node) callAndForget(t *testing.T, volumes []volume) {
	t.Helper()
	client := *n
	for i, c := range calls {
		go c.do(t.Context(), &client, volumes[i])
	}
	go n.ListVolumes(t.Context(), &csi.ListVolumesRequest{})
	time.Sleep(500 * time.Millisecond)
}

// wantEnd has the program end. If it does not in time the disk answers, for
// nothing else may end it.
func (n *node) wantEnd(t *testing.T) {
	t.Helper()
	began := time.Now()
	tooLong := time.AfterFunc(terminates+5*time.Second, func() { n.Answer(t) })
	n.Signal(t, syscall.SIGTERM)
	tooLong.Stop()
	if took := time.Since(began); took > terminates {
		t.Fatalf("the program took %s to end, want at most %s", took, terminates)
	}
}

// TestRestarts kills the program again and again while disks hang.
func TestRestarts(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			volumes := n.prepareAll(t)
			n.Hang(t)
			for range 5 {
				n.callAndForget(t, volumes)
				n.Signal(t, syscall.SIGKILL)
				n.wantStart(t)
			}
			want(t, moment, "unpublish", func(ctx context.Context) error {
				v := volumes[indexOf("unpublish")]
				return n.Unpublish(ctx, v.id, v.target)
			})
			n.wantRecovery(t, volumes)
		})
	}
}

// indexOf is where a call stands in calls.
func indexOf(name string) int {
	for i, c := range calls {
		if c.name == name {
			return i
		}
	}
	panic("no call " + name)
}
