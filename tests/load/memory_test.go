package load

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestMemory storms without the race detector, which takes five to ten times the
// memory, and looks at what the program takes.
func TestMemory(t *testing.T) {
	plugin.RequireRoot(t)
	p := start(t, disk.Mount(t, "ext4", 2048*mebibyte), true)
	s := newStorm(t, p, 1000)
	idle := look(t, p.PID())
	most := idle
	stop := make(chan struct{})
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				now := look(t, p.PID())
				most.resident, most.threads = max(most.resident, now.resident), max(most.threads, now.threads)
			}
		}
	}()
	s.createAll()
	s.rage(1000, lasting())
	close(stop)
	<-sampled
	s.wantAgreement(t, false)
	end := look(t, p.PID())
	t.Logf("%d calls; memory %d KiB idle, %d KiB at most, %d KiB at the end; %d threads at most", s.calls.Load(), idle.resident, end.peak, end.resident, most.threads)
	if end.peak > maxResident {
		t.Errorf("the program took %d KiB, more than %d", end.peak, maxResident)
	}
	if most.threads > maxThreads {
		t.Errorf("the program had %d threads, more than %d", most.threads, maxThreads)
	}
}

const (
	// maxResident, in KiB, is half of what the chart lets the container take. Seen
	// were 76 MiB, most of it for two thousand calls at a time.
	maxResident = 128 << 10
	// maxThreads: each system call that waits for the disk takes a thread. Seen
	// were 150; Go ends a program that has 10,000.
	maxThreads = 2000
)

// figures are what /proc says of a process, memory in KiB.
type figures struct{ resident, peak, threads int }

func look(t *testing.T, pid int) (f figures) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
		return f
	}
	for line := range strings.Lines(string(data)) {
		for format, to := range map[string]*int{"VmRSS: %d kB": &f.resident, "VmHWM: %d kB": &f.peak, "Threads: %d": &f.threads} {
			fmt.Sscanf(line, format, to)
		}
	}
	return f
}
