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
	patience = 15 * time.Minute // for a hundred helper pods that make directories, and a hundred that remove them
	c := connect(t)
	c.install(t)
	p := newPeers(t, c)
	for _, size := range []struct{ replicas, rounds, rare int }{ // rare are the rounds of what takes many times as long
		{1, 4, 4}, {10, 3, 2}, {30, 3, 1}, {100, 2, 1},
	} {
		for round := range size.rounds {
			for _, side := range p.turns(round) {
				if side.name == localPath && round >= size.rare {
					continue
				}
				p.measure(t, side, size.replicas)
			}
		}
	}
	values := slices.Concat(p.times(), p.whereTimeGoes(t), p.requests, p.cpu, p.installed(t))
	for _, v := range values {
		fmt.Printf("%-60s %-24s %4d: %.4g %s (%.4g to %.4g, %d runs)\n", v.What, v.Side, v.N, v.Median, v.Unit, v.Low, v.High, v.Runs)
	}
	if err := report.Add(*peers, "cluster", values); err != nil {
		t.Fatal(err)
	}
}

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
	requests    []report.Value
	cpu         []report.Value
}

type sideFigure struct {
	side
	figure
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
	p.requests = append(p.requests, report.Of("requests a minute while nobody asks for anything", "everything", 0, "requests", p.idle.requests))
	p.cpu = append(p.cpu, report.Of("CPU a minute while nobody asks for anything", "everything", 0, "s", p.idle.cpu))
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

// measure runs a StatefulSet, and counts what that costs beyond an idle cluster.
func (p *comparison) measure(t *testing.T, side side, replicas int) {
	t.Helper()
	before := p.load(t)
	began := time.Now()
	p.figures = append(p.figures, sideFigure{side, p.run(t, side, replicas)})
	took := p.load(t).since(before).minus(p.idle.times(time.Since(began).Minutes()))
	if replicas < 10 { // what a namespace costs would be most of it
		return
	}
	took = took.times(1 / float64(replicas))
	p.requests = append(p.requests,
		report.Of("requests to the API server a replica", side.name, replicas, "requests", took.requests),
		report.Of("writes among them", side.name, replicas, "requests", took.writes))
	p.cpu = append(p.cpu, report.Of("CPU of the whole cluster a replica", side.name, replicas, "s", took.cpu))
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
		for _, replicas := range []int{1, 10, 30, 100} {
			for _, side := range p.sides {
				var runs []time.Duration
				for _, f := range p.figures {
					if d := what.of(f.figure); f.side == side && f.replicas == replicas && d > 0 { // 0 is what emptyDir has not
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
