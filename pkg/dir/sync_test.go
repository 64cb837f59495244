package dir

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestSyncTogether syncs a directory twice at a time: neither is forgotten until btrfs
// commits by itself, half a minute later.
func TestSyncTogether(t *testing.T) {
	plugin.RequireRoot(t)
	d := &Dir{File: open(t, disk.Mount(t, "btrfs", 256<<20))}
	for round := range 200 {
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() {
				time.Sleep(rand.N(4 * time.Millisecond))
				if err := unix.Mkdirat(d.FD(), fmt.Sprint(round, "-", i), 0o700); err != nil {
					t.Error(err)
				}
				began := time.Now()
				if err := d.Sync(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("round %d: a sync took %s", round, took)
				}
			})
		}
		both.Wait()
		if t.Failed() {
			return
		}
	}
}
