package powercut

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
	"github.com/hostdir/hostdir/tests/powercut/drive"
)

var (
	cuts = flag.Int("cuts", 100, "how often the power is cut on each filesystem")
	long = flag.Bool("long", false, "work longer, and cut the power ten times as often")
	seed = flag.Uint64("seed", 0, "what decides when the power is cut and what survives; 0 for something new")
)

func TestPowerCut(t *testing.T) {
	plugin.RequireRoot(t)
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed=%d", *seed)
	for _, filesystem := range filesystems {
		t.Run(filesystem.name, func(t *testing.T) {
			t.Parallel()
			luck := rand.New(rand.NewPCG(*seed, 0))
			work, cuts := workload{workers: 4, volumes: 4, kills: 4}, *cuts
			if *long {
				work, cuts = workload{workers: 8, volumes: 8, kills: 12}, 10*cuts
			}
			log, history := record(t, filesystem, work, luck)
			began := time.Now()
			again := 0
			for i, position := range moments(&history, log, cuts, luck) {
				name := strconv.Itoa(i)
				log, history := cut(t, name, filesystem, log, &history, position, luck)
				if i%8 == 0 && log != nil {
					again++
					cut(t, name+"-again", filesystem, log, history, luck.IntN(log.End()+1), luck)
				}
			}
			t.Logf("%d power cuts in the course of %d calls and %d writes and flushes, and %d more after the first, in %s",
				cuts, len(history.calls), log.End(), again, time.Since(began).Round(time.Second))
		})
	}
}

// record lets a node work on a new filesystem.
func record(t *testing.T, filesystem filesystem, w workload, luck *rand.Rand) (log *drive.Log, h history) {
	t.Run("record", func(t *testing.T) {
		n := layOut(t, filesystem, filesystem.make(t))
		w.run(t, n, luck)
		log, h = n.drive.Log(), n.history
		h.memory = n.remembered(t)
	})
	if log == nil {
		t.FailNow()
	}
	return log, h
}

// cut cuts the power of a drive and checks what is left. It returns what came of
// the drive afterwards, nil if something was wrong.
func cut(t *testing.T, name string, filesystem filesystem, log *drive.Log, h *history, position int, luck *rand.Rand) (after *drive.Log, since *history) {
	t.Run(name, func(t *testing.T) {
		if luck.IntN(2) == 0 {
			luck = nil
		}
		image, loss := log.Cut(position, luck)
		t.Logf("cut at %d of %d: %s", position, log.End(), loss)
		n := layOut(t, filesystem, image)
		n.remember(t, h.memory)
		n.run(t)
		for _, wrong := range n.check(t, h.at(position)) {
			t.Error(wrong)
		}
		if t.Failed() {
			return
		}
		if filesystem.limited {
			// btrfs writes limits down later. The program puts them back, but
			// not while a call works on the volume.
			n.Expect("LimitNotInForce")
		}
		plugin.CheckClean(t, n.Plugin)
		if !filesystem.limited { // btrfs would take its time
			if err := n.waitPurged(); err != nil {
				t.Error(err)
			}
		}
		n.Signal(t, syscall.SIGTERM)
		after, since = n.drive.Log(), &n.history
		since.memory = n.remembered(t)
	})
	return after, since
}

// moments chooses when the power is cut: in the disk's first moments, when an
// answer has just come, and at any time.
func moments(h *history, log *drive.Log, number int, luck *rand.Rand) []int {
	answers := h.answers()
	var all []int
	for i := range number {
		switch i % 8 {
		case 0:
			all = append(all, luck.IntN(h.served+1))
		case 1, 2, 3:
			all = append(all, answers[luck.IntN(len(answers))])
		default:
			all = append(all, h.served+luck.IntN(log.End()-h.served+1))
		}
	}
	slices.Sort(all)
	return all
}
