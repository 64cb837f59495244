package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

// TestAcknowledged cuts the power at each answer, and only looks whether the volumes are
// there that must be. That btrfs leaves names out of its log when two calls rename at a
// time was seen by two of six thousand such cuts: -long makes thousands.
func TestAcknowledged(t *testing.T) {
	plugin.RequireRoot(t)
	for _, filesystem := range filesystems {
		if filesystem.kind != "btrfs" {
			continue // TestPowerCut sees enough of the others
		}
		t.Run(filesystem.name, func(t *testing.T) {
			histories := 1
			if *long {
				histories = 30
			}
			cuts := 0
			began := time.Now()
			for range histories {
				log, history := record(t, filesystem, workload{workers: 4, volumes: 4, kills: 4}, rand.New(rand.NewPCG(rand.Uint64(), 0)))
				for _, position := range history.answers() {
					cuts++
					t.Run(strconv.Itoa(position), func(t *testing.T) { wantVolumes(t, filesystem, log, &history, position) })
				}
			}
			t.Logf("%d power cuts in %s", cuts, time.Since(began).Round(time.Second))
		})
	}
}

// answers are the positions at which calls were acknowledged.
func (h *history) answers() (all []int) {
	for _, c := range h.calls {
		if c.end != never {
			all = append(all, c.end)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wantVolumes mounts what a power cut has left, and wants each volume in its place that
// was made and not deleted.
func wantVolumes(t *testing.T, filesystem filesystem, log *drive.Log, h *history, position int) {
	t.Helper()
	image, _ := log.Cut(position, nil)
	d := drive.Start(t, image, filesystem.sector)
	base := filepath.Join(t.TempDir(), "pool")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	filesystem.mount(t, d.Path, base)
	found, err := names(filepath.Join(base, "volumes"))
	if err != nil {
		t.Fatal(err)
	}
	for name, states := range h.at(position).volumes {
		mayBeElsewhere := func(v *volume) bool { return v == nil || v.deleted || v.snapshot }
		if !slices.ContainsFunc(states, mayBeElsewhere) && !slices.Contains(found, name) {
			t.Errorf("cut at %d of %d: %s is gone, there must be %s; there are %q", position, log.End(), name, states, found)
		}
	}
}
