package hungdisk

import (
	"fmt"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/hungdisk/hang"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestNothingHangs checks that disks that answer do all that is demanded.
func TestNothingHangs(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			volumes := n.prepareAll(t)
			n.wantHealthy(t)
			n.wantRecovery(t, volumes)
		})
	}
}

// TestHangsWhileRunning has disks hang whose volumes are published, twice.
func TestHangsWhileRunning(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			for range 2 {
				volumes := n.prepareAll(t)
				n.wantLife(t, "c") // the purge may be at work when the disk hangs
				n.Hang(t)
				n.meanwhile(t, func() { n.wantAway(t, volumes, firstTime) })
				n.awaitHang(t)
				n.wantKnown(t)
				n.wantSick(t, volumes[indexOf("health")])
				n.wantAway(t, volumes, moment)
				n.wantHealthy(t)
				n.wantPurged(t)
				n.wantRecovery(t, volumes)
			}
		})
	}
}

// TestHangsUnused has disks hang for long that nobody calls for: it is found out all the
// same, and healthy disks do not notice.
func TestHangsUnused(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			n.Hang(t)
			n.wantHealthyMeanwhile(t)
			// Two rounds of the look at each disk, every ten seconds.
			n.awaitDisks(t, 2*firstTime, "the disks that hang are unresponsive", func(disks map[string]diskStatus) bool {
				return n.hangs(disks, unresponsive)
			})
			for began := time.Now(); time.Since(began) < lasts; time.Sleep(2 * time.Second) {
				n.wantKnown(t)
				n.wantHealthy(t)
			}
			n.Answer(t)
			n.awaitRecovery(t)
			n.wantLife(t, "c")
		})
	}
}

// TestReconfigured adds a pool while disks hang, and takes away that of one that
// does.
func TestReconfigured(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, kind.disks(t))
			n.Hang(t)
			n.awaitDisks(t, 2*firstTime, "the disks that hang are unresponsive", func(disks map[string]diskStatus) bool {
				return n.hangs(disks, unresponsive)
			})
			added := t.TempDir()
			n.Configure(t, fmt.Sprintf("pools: [{name: a, paths: [%q]}, {name: b, paths: [%q]}, {name: mixed, paths: [%q, %q]}, {name: added, paths: [%q]}]",
				n.a, n.b, n.d, n.e, added))
			n.awaitDisks(t, recovers, "the new disk is ready, and that of pool c gone", func(disks map[string]diskStatus) bool {
				_, there := disks[n.c]
				return disks[added].State == ready && !there
			})
			n.wantLife(t, "added")
			n.wantHealthy(t)
			n.Answer(t)
			var since time.Time
			n.awaitDisks(t, recovers, "the disk of pool mixed is back for good", func(disks map[string]diskStatus) bool {
				if disks[n.e].State != ready { // a look that has hung until now may find it faulty once more
					since = time.Time{}
					return false
				}
				if since.IsZero() {
					since = time.Now()
				}
				return time.Since(since) > 3*time.Second
			})
		})
	}
}

// TestSlow has a disk answer, but each request only after 20 seconds.
func TestSlow(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	d := hang.Start(t)
	n := start(t, on(t, d))
	volumes := n.prepareAll(t)
	d.Slow(t, 20*time.Second)
	// Now it is known that the disk hangs, now it has just answered.
	for began := time.Now(); time.Since(began) < lasts; time.Sleep(time.Second) {
		n.meanwhile(t, func() { n.wantAway(t, volumes, givesUp) })
	}
	n.wantHealthyMeanwhile(t)
	n.wantRecovery(t, volumes)
}

// meanwhile does something, and checks that the healthy disks serve until it is
// done.
func (n *node) meanwhile(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for {
		n.wantHealthyMeanwhile(t)
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
