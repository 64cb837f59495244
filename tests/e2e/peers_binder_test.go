//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"testing"

	"github.com/hostdir/hostdir/tests/peers/report"
)

var binderQPS = flag.Int("binder-qps", 0, "let TestBinderLimit measure, on a cluster whose kube-controller-manager may send so many requests a second")

// TestBinderLimit measures how long claims wait for kube-controller-manager's binder, with
// hostdir's fast binding and without it. `cluster up` sets how many requests a second the
// binder may send; Kubernetes' default is 20.
func TestBinderLimit(t *testing.T) {
	if *binderQPS == 0 || *peers == "" {
		t.Skip("measures only with -peers FILE and -binder-qps N")
	}
	const replicas, rounds = 30, 2
	c := connect(t)
	var values []report.Value
	for _, fast := range []bool{true, false} {
		c.install(t, "--set", fmt.Sprintf("controller.fastBinding.enabled=%t", fast))
		name := map[bool]string{true: "with fast binding", false: "without fast binding"}[fast]
		p := &comparison{cluster: c, sides: []side{{name, "hostdir"}}}
		p.run(t, p.sides[0], 1)
		for range rounds {
			p.figures = append(p.figures, sideFigure{p.sides[0], p.run(t, p.sides[0], replicas), load{}})
		}
		values = append(values, p.times()...)
	}
	for i := range values {
		values[i].What += fmt.Sprintf(", kube-controller-manager at %d requests a second", *binderQPS)
	}
	if err := report.Add(*peers, fmt.Sprintf("binder-%d", *binderQPS), values); err != nil {
		t.Fatal(err)
	}
}
