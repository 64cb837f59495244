package hungdisk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
)

const (
	maxThreads  = 150
	maxResident = 200 << 10 // in KiB
)

// TestStorm scrapes and calls a thousand times while a disk hangs, and most of
// those who do give up. The program stays small, and the other disks serve.
func TestStorm(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			n := layout(t, kind.disks(t))
			n.Plain = true // the race detector takes five to ten times the memory
			n.launch(t)
			n.awaitRecovery(t)
			volumes := n.prepareAll(t)

			n.Hang(t)
			watched := n.watch(t)
			n.meanwhile(t, func() { storm(t, n.requests(volumes)) })
			most := watched()
			t.Logf("%d threads, %d KiB", most.threads, most.resident)
			if most.threads > maxThreads {
				t.Errorf("the program had %d threads, more than %d", most.threads, maxThreads)
			}
			if most.resident > maxResident {
				t.Errorf("the program took %d KiB, more than %d", most.resident, maxResident)
			}
			n.awaitHang(t)
			n.wantKnown(t)
			n.wantAway(t, volumes, moment)
			n.wantRecovery(t, volumes)
		})
	}
}

// requests are those of the storm, in any order.
func (n *node) requests(volumes []volume) []func(context.Context) {
	var all []func(context.Context)
	for range 1000 {
		all = append(all,
			func(ctx context.Context) { n.get(ctx, crowd, "/metrics") },
			func(ctx context.Context) { n.capacity(ctx, "c") },
		)
	}
	for range 200 {
		for i, c := range calls {
			all = append(all, func(ctx context.Context) { c.do(ctx, n, volumes[i]) })
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// storm makes the requests, a hundred at once. Nobody waits longer than two
// seconds.
func storm(t *testing.T, requests []func(context.Context)) {
	next := make(chan func(context.Context))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for request := range next {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				request(ctx)
				cancel()
			}
		})
	}
	for _, request := range requests {
		next <- request
	}
	close(next)
	wg.Wait()
}

// size is what the kernel counts of the program, memory in KiB.
type size struct{ resident, threads int }

// watch looks at the program's size again and again, and returns what ends that
// and returns the most that was seen.
func (n *node) watch(t *testing.T) (end func() size) {
	stop, most := make(chan struct{}), make(chan size)
	pid := n.PID()
	go func() {
		var m size
		for {
			now := look(t, pid)
			m.resident, m.threads = max(m.resident, now.resident), max(m.threads, now.threads)
			select {
			case <-stop:
				most <- m
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() size {
		close(stop)
		return <-most
	}
}

func look(t *testing.T, pid int) (s size) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(data)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &s.resident)
		fmt.Sscanf(line, "Threads: %d", &s.threads)
	}
	return s
}
