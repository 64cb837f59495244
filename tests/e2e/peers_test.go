//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/peers/report"
)

var peers = flag.String("peers", "", "let TestPeers and TestBinderLimit measure, for this report")

// TestPeers measures StatefulSets with claims of hostdir and of local-path-provisioner,
// and with emptyDir, which is the floor: in turn, on one cluster. It asserts nothing.
func TestPeers(t *testing.T) {
	if *peers == "" {
		t.Skip("measures only with -peers FILE")
	}
	c := connect(t)
	c.install(t)
	p := newPeers(t, c)
	for _, size := range []struct{ replicas, rounds, rare int }{ // rare are the rounds of what takes many times as long
		{1, 7, 3}, {10, 3, 2}, {30, 3, 1},
	} {
		for round := range size.rounds {
			for _, side := range p.turns(round) {
				if side.name != localPath || round < size.rare {
					p.measure(t, side, size.replicas)
				}
			}
		}
	}
	p.add(t, "cluster", slices.Concat(p.whoWorks(30), p.whereTimeGoes(t), p.whereDeletionGoes(t), p.installed(t)))
}

// TestPeersLarge is TestPeers with a hundred replicas.
func TestPeersLarge(t *testing.T) {
	if *peers == "" {
		t.Skip("measures only with -peers FILE")
	}
	patience = 15 * time.Minute // for a hundred helper pods that make directories, and a hundred that remove them
	c := connect(t)
	c.install(t)
	p := newPeers(t, c)
	for _, i := range []int{0, 2, 1} { // the slowest last: who has no time for it has the rest
		p.measure(t, p.sides[i], 100)
		p.add(t, "large", nil)
	}
}

// add puts all that was measured so far into the report, as a part of it.
func (p *comparison) add(t *testing.T, part string, others []report.Value) {
	t.Helper()
	values := slices.Concat(p.times(), p.costs(), others)
	for _, v := range values {
		fmt.Printf("%-60s %-24s %4d: %.4g %s (%.4g to %.4g, %d runs)\n", v.What, v.Side, v.N, v.Median, v.Unit, v.Low, v.High, v.Runs)
	}
	if err := report.Add(*peers, part, values); err != nil {
		t.Fatal(err)
	}
}

// sizes are how many replicas there are.
var sizes = []int{1, 10, 30, 100}

const localPath = "local-path-provisioner"

// A side is one of those that are compared.
type side struct{ name, class string }

// comparison is what was measured of all sides.
type comparison struct {
	*cluster
	sides       []side
	provisioner *os.Process // local-path-provisioner's
	idle        load        // in a minute in which nobody asks for anything
	figures     []sideFigure
}

type sideFigure struct {
	side
	figure
	cost load // of a replica, beyond what an idle cluster does
}

func newPeers(t *testing.T, c *cluster) *comparison {
	t.Helper()
	class, provisioner, _ := begin(t, c).localPath()
	p := &comparison{cluster: c, provisioner: provisioner, sides: []side{{"hostdir", "hostdir"}, {localPath, class}, {"emptyDir", emptyDir}}}
	for _, side := range p.sides { // what only the first pod, or the first claim, has to wait for
		p.run(t, side, 1)
	}
	const quiet = 30 * time.Second
	before := p.load(t)
	time.Sleep(quiet)
	p.idle = p.load(t).since(before).times(float64(time.Minute) / float64(quiet))
	return p
}

// turns are the sides in the order of this round: each is first as often as the others.
func (p *comparison) turns(round int) []side {
	i := round % len(p.sides)
	return slices.Concat(p.sides[i:], p.sides[:i])
}

// run is one StatefulSet's life, in a namespace of its own.
func (p *comparison) run(t *testing.T, side side, replicas int) (f figure) {
	t.Helper()
	t.Run(fmt.Sprintf("%d replicas with %s", replicas, side.name), func(t *testing.T) { f = begin(t, p.cluster).measure(replicas, side.class) })
	if t.Failed() {
		t.FailNow()
	}
	return f
}

// measure runs a StatefulSet, and counts what that costs.
func (p *comparison) measure(t *testing.T, side side, replicas int) {
	t.Helper()
	before := p.load(t)
	began := time.Now()
	f := p.run(t, side, replicas)
	cost := p.load(t).since(before).minus(p.idle.times(time.Since(began).Minutes()))
	p.figures = append(p.figures, sideFigure{side, f, cost.times(1 / float64(replicas))})
}

// costs sums up the costs of all runs but those of one replica, in which the namespace's
// are most of it.
func (p *comparison) costs() []report.Value {
	values := []report.Value{
		report.Of("requests a minute while nobody asks for anything", "everything", 0, "requests", p.idle.requests),
		report.Of("CPU a minute while nobody asks for anything", "everything", 0, "s", p.idle.cpu),
	}
	for _, what := range []struct {
		name, unit string
		of         func(load) float64
	}{
		{"requests to the API server a replica", "requests", func(l load) float64 { return l.requests }},
		{"writes among them", "requests", func(l load) float64 { return l.writes }},
		{"CPU of the whole cluster a replica", "s", func(l load) float64 { return l.cpu }},
	} {
		for _, replicas := range sizes[1:] {
			for _, side := range p.sides {
				var runs []float64
				for _, f := range p.of(side, replicas) {
					runs = append(runs, what.of(f.cost))
				}
				if len(runs) > 0 {
					values = append(values, report.Of(what.name, side.name, replicas, what.unit, runs...))
				}
			}
		}
	}
	return values
}

// of are the figures of a side with so many replicas.
func (p *comparison) of(side side, replicas int) (figures []sideFigure) {
	for _, f := range p.figures {
		if f.side == side && f.replicas == replicas {
			figures = append(figures, f)
		}
	}
	return figures
}

// times sums up all runs.
func (p *comparison) times() (values []report.Value) {
	for _, what := range []struct {
		name string
		of   func(figure) time.Duration
	}{
		{"claim until Bound", func(f figure) time.Duration { return median(f.bound) }},
		{"all claims until Bound", func(f figure) time.Duration { return slices.Max(append(f.bound, 0)) }},
		{"all replicas until ready", func(f figure) time.Duration { return f.running }},
		{"all gone, with their volumes", func(f figure) time.Duration { return f.deleted.all }},
		{"volumes gone after the last pod", func(f figure) time.Duration {
			if len(f.bound) == 0 {
				return 0
			}
			return f.deleted.afterPods
		}},
	} {
		for _, replicas := range sizes {
			for _, side := range p.sides {
				var runs []time.Duration
				for _, f := range p.of(side, replicas) {
					if d := what.of(f.figure); d > 0 { // 0 is what emptyDir has not
						runs = append(runs, d)
					}
				}
				if len(runs) > 0 {
					values = append(values, report.Seconds(what.name, side.name, replicas, runs...))
				}
			}
		}
	}
	return values
}
