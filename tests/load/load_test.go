package load

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

var long = flag.Bool("long", false, "let each storm last two minutes, on a thousand volumes with limits")

func lasting() time.Duration {
	if *long {
		return 2 * time.Minute
	}
	return 5 * time.Second
}

// start runs a plugin whose pool is a disk of its own.
func start(t *testing.T, base string, plain bool) *plugin.Plugin {
	t.Helper()
	p := plugin.Layout(t, base)
	p.Plain = plain
	t.Cleanup(func() { disk.UnmountBelow(t, p.KubeletDir) })
	p.Run(t)
	return p
}

// TestStorm storms with the race detector, on a disk without and one with limits.
func TestStorm(t *testing.T) {
	plugin.RequireRoot(t)
	for _, test := range []struct {
		name    string
		mount   func(t *testing.T) string
		limited bool
		volumes int
	}{
		{"ext4", func(t *testing.T) string { return disk.Mount(t, "ext4", 2048*mebibyte) }, false, 1000},
		{"btrfs with limits", func(t *testing.T) string { return disk.MountLimited(t, 4096*mebibyte) }, true, volumesWithLimits()},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, test.mount(t), false)
			s := newStorm(t, p, test.volumes)
			began := time.Now()
			s.createAll()
			t.Logf("%d volumes created, each twice, in %s", test.volumes, time.Since(began))
			s.wantAgreement(t, test.limited)
			s.rage(200, lasting())
			t.Logf("%d calls, %d of them met another", s.calls.Load(), s.busy.Load())
			s.wantAgreement(t, test.limited)
			s.deleteAll(t)
		})
	}
}

// volumesWithLimits are fewer than a thousand by default: btrfs takes some 20 ms
// to make or remove one.
func volumesWithLimits() int {
	if *long {
		return 1000
	}
	return 100
}

// TestKilledInStorm kills the program in the middle, some times. Whoever called
// calls again.
func TestKilledInStorm(t *testing.T) {
	plugin.RequireRoot(t)
	p := start(t, disk.Mount(t, "ext4", 2048*mebibyte), false)
	volumes, most := 300, 5
	if *long {
		volumes, most = 1000, 30
	}
	s := newStorm(t, p, volumes)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.createAll()
		s.rage(200, lasting())
	}()
	kills := 0
	for ended := false; !ended; {
		var kill <-chan time.Time
		if kills < most {
			kill = time.After(time.Second)
		}
		select {
		case <-done:
			ended = true
		case <-kill:
			p.Signal(t, syscall.SIGKILL)
			p.Run(t)
			kills++
		}
	}
	t.Logf("%d calls, %d of them met another, %d were cut off by %d kills", s.calls.Load(), s.busy.Load(), s.lost.Load(), kills)
	if kills == 0 || s.lost.Load() == 0 {
		t.Error("no kill has hit a call")
	}
	s.wantAgreement(t, false)

	// What is found at the next start is the same.
	p.Signal(t, syscall.SIGTERM)
	p.Run(t)
	s.wantAgreement(t, false)
	s.deleteAll(t)
}
