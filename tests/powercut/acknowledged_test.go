package powercut

import (
	"math/rand/v2"
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

// wantVolumes mounts what a power cut has left, and wants each volume in its place that
// was made and not deleted.
func wantVolumes(t *testing.T, filesystem filesystem, log *drive.Log, h *history, position int) {
	t.Helper()
	image, _ := log.Cut(position, nil)
	found, err := names(filepath.Join(layOut(t, filesystem, image).Base, "volumes"))
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
