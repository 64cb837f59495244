package hostile

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRaces lets every mischief race with every operation.
func TestRaces(t *testing.T) {
	plugin.RequireRoot(t)
	for _, operation := range []struct {
		name  string
		round func(t *testing.T, w *world, m mischief) (steps int64)
	}{
		{"use", useRound},
		{"purge", purgeRound},
		{"count", countRound},
		{"check", checkRound},
		{"copy", copyRound},
	} {
		t.Run(operation.name, func(t *testing.T) {
			// ext4 without quotas, so that hostdir walks through volumes.
			w := newWorld(t, disk.Mount(t, "ext4", 1024*mebibyte))
			for _, m := range mischiefs {
				t.Run(m.name, func(t *testing.T) {
					var steps int64
					rounds := 0
					for end := time.Now().Add(lasting()); time.Now().Before(end); rounds++ {
						steps += operation.round(t, w, m)
						w.wantUnharmed(t)
						w.makeRoom(t)
					}
					w.waitPurged(t)
					w.wantUnharmed(t)
					t.Logf("%d rounds, %d steps of the tenant", rounds, steps)
				})
			}
		})
	}
}

// TestPurgeOfSubvolume lets every mischief race with the purge where volumes are
// subvolumes with limits.
func TestPurgeOfSubvolume(t *testing.T) {
	plugin.RequireRoot(t)
	w := newWorld(t, disk.MountLimited(t, 512*mebibyte))
	w.Expect("LimitUnsupported") // full quotas may lose count while subvolumes go
	for _, m := range mischiefs {
		if m.privileged { // a subvolume that root has renamed is not found again
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			for end := time.Now().Add(lasting()); time.Now().Before(end); {
				purgeRound(t, w, m)
				w.wantUnharmed(t)
			}
		})
	}
	w.waitPurged(t)
	w.wantUnharmed(t)
}

// useRound publishes a volume, asks for its figures, expands it, unpublishes and
// deletes it, while its tenant makes mischief.
func useRound(t *testing.T, w *world, m mischief) (steps int64) {
	id := w.create(t)
	v := w.tenant(t, id)
	defer v.close()
	if err := v.fill(); err != nil {
		t.Fatal(err)
	}
	var data unix.Stat_t
	if err := unix.Fstat(int(v.data.Fd()), &data); err != nil {
		t.Fatal(err)
	}
	target := w.target("target")
	steps = m.during(v, func() {
		for i := range int64(20) {
			err := w.Publish(w.ctx, id, target)
			// Internal: the data directory was a link in that moment.
			plugin.WantCode(t, "publish", err, codes.OK, codes.Internal)
			if err != nil {
				continue
			}
			var published unix.Stat_t
			if err := unix.Stat(target, &published); err != nil || published.Ino != data.Ino || published.Dev != data.Dev {
				t.Errorf("published is file %d of device %d, not the volume's data (%d of %d): %v", published.Ino, published.Dev, data.Ino, data.Dev, err)
			}
			_, err = w.Stats(w.ctx, id, target)
			plugin.WantCode(t, "stats", err, codes.OK, codes.Internal)
			plugin.WantCode(t, "expand", w.Expand(w.ctx, id, target, mebibyte+i*4096), codes.OK)
			if !m.privileged { // the mount table shows the data directory by name
				plugin.WantCode(t, "delete of a published volume", w.DeleteNow(w.ctx, id), codes.FailedPrecondition)
			}
			plugin.WantCode(t, "unpublish", w.Unpublish(w.ctx, id, target), codes.OK)
		}
	})
	v.putBack()
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	return steps
}

// purgeRound deletes a volume, and lets its tenant make mischief in it until
// little is left.
func purgeRound(t *testing.T, w *world, m mischief) (steps int64) {
	id := w.create(t)
	v := w.tenant(t, id)
	defer v.close()
	if err := v.fill(); err != nil {
		t.Fatal(err)
	}
	return m.during(v, func() {
		plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK, codes.Internal)
		for range 20 {
			if isGone(v.data) {
				break
			}
			// What the purge stumbles over makes it turn to the next volume. Each
			// deletion lets it try again.
			w.wakePurge(t)
		}
		for w.Delete(w.ctx, id) != nil { // refused in the moment in which its data was a link
			time.Sleep(time.Millisecond)
		}
	})
}

// countRound restarts the plugin, which then walks through all volumes.
func countRound(t *testing.T, w *world, m mischief) (steps int64) {
	id := w.create(t)
	v := w.tenant(t, id)
	defer v.close()
	if err := v.fill(); err != nil {
		t.Fatal(err)
	}
	steps = m.during(v, func() {
		w.restart(t)
		time.Sleep(300 * time.Millisecond)
	})
	v.putBack()
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	return steps
}

// checkRound has a volume, and one that is being purged, checked and repaired.
func checkRound(t *testing.T, w *world, m mischief) (steps int64) {
	id, doomed := w.create(t), w.create(t)
	v, gone := w.tenant(t, id), w.tenant(t, doomed)
	defer v.close()
	defer gone.close()
	if err := errors.Join(v.fill(), gone.fill()); err != nil {
		t.Fatal(err)
	}
	var inTrash int64
	steps = m.during(v, func() {
		plugin.WantCode(t, "delete", w.Delete(w.ctx, doomed), codes.OK)
		inTrash = m.during(gone, func() {
			for range 3 {
				cmd := exec.CommandContext(w.ctx, plugin.Build(t), "check", "--repair", "--yes", "--output=json", "--endpoint=unix://"+w.Socket)
				if out, err := cmd.Output(); !json.Valid(out) {
					t.Errorf("hostdir check answers %q: %v", out, err)
				}
			}
		})
	})
	v.putBack()
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	return steps + inTrash
}
