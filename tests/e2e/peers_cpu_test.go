//go:build e2e

package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// programs is CPU in seconds, by the program's name.
type programs map[string]float64

const (
	allPrograms = "all"
	endedSince  = "programs that begin or end meanwhile, as runc"
)

// cpuByProgram is what the cluster's processes have used that are there now, and what all
// have that ever were.
func cpuByProgram(t *testing.T) programs {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	used := programs{allPrograms: clusterCPU(t)}
	for _, group := range groups {
		data, err := os.ReadFile(group)
		if err != nil || !strings.Contains(string(data), "/hostdir-cluster/"+os.Getenv("HOSTDIR_CLUSTER")+"/") {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(group), "comm"))
		if err != nil {
			continue
		}
		if cpu, err := cpuOf(filepath.Dir(group)); err == nil {
			used[strings.TrimSpace(string(name))] += cpu
		}
	}
	return used
}

// since is what was used after before.
func (now programs) since(before programs) programs {
	used, known := programs{}, 0.0
	for name := range now {
		if before[name] > 0 { // what has ended would count below zero
			used[name] = max(0, now[name]-before[name])
		}
		if name != allPrograms {
			known += used[name]
		}
	}
	used[endedSince] = max(0, used[allPrograms]-known)
	return used
}

// whoWorks are the programs that worked until so many replicas were ready, by what they
// took with hostdir.
func (p *comparison) whoWorks(replicas int) (values []report.Value) {
	runs := map[side]map[string][]float64{}
	for _, side := range p.sides {
		runs[side] = map[string][]float64{}
		for _, f := range p.of(side, replicas) {
			for name, seconds := range f.cpu {
				runs[side][name] = append(runs[side][name], seconds)
			}
		}
	}
	const little = 0.05 // seconds
	most := func(name string) float64 { return slices.Max(append(runs[p.sides[0]][name], 0)) }
	names := slices.DeleteFunc(slices.Collect(maps.Keys(runs[p.sides[0]])), func(name string) bool { return most(name) < little })
	slices.SortFunc(names, func(a, b string) int { return int(1000 * (most(b) - most(a))) })
	for _, name := range names {
		for _, side := range p.sides {
			if len(runs[side][name]) > 0 && side.name != localPath { // whose work is outside of the cluster, too
				values = append(values, report.Of("CPU until ready: "+name, side.name, replicas, "s", runs[side][name]...))
			}
		}
	}
	return values
}
