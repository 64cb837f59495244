//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"
)

// bindingFigures prints how long claims wait until they are Bound with fast binding
// and without it, by how many there are at once.
func (c *cluster) bindingFigures(t *testing.T, measure func(name string, replicas int, class string) figure) {
	const rounds = 3
	sizes := []int{10, 30, 60}
	bound, running := map[bool]map[int][]time.Duration{}, map[bool]map[int][]time.Duration{}
	t.Cleanup(func() { c.install(t) })
	for _, fast := range []bool{true, false} {
		c.install(t, "--set", fmt.Sprintf("controller.fastBinding.enabled=%t", fast))
		bound[fast], running[fast] = map[int][]time.Duration{}, map[int][]time.Duration{}
		measure(fmt.Sprintf("a first replica, fast binding %t", fast), 1, "hostdir")
		for range rounds {
			for _, n := range sizes {
				f := measure(fmt.Sprintf("%d replicas, fast binding %t", n, fast), n, "hostdir")
				bound[fast][n] = append(bound[fast][n], median(f.bound))
				running[fast][n] = append(running[fast][n], f.running)
			}
		}
	}
	fmt.Printf("\nFast binding, medians of %d runs each:\n\n", rounds)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\twith\twithout\twith : without")
	row := func(what string, n int, values map[bool]map[int][]time.Duration) {
		with, without := median(values[true][n]), median(values[false][n])
		fmt.Fprintf(table, "%d claims at once, until %s\t%s\t%s\t%.2f\n", n, what, seconds(with), seconds(without), with.Seconds()/without.Seconds())
	}
	for _, n := range sizes {
		row("Bound (p50)", n, bound)
		row("all pods are ready", n, running)
	}
	table.Flush()
}
