package bench

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/peers/report"
	"github.com/hostdir/hostdir/tests/plugin"
)

// file is where what was measured goes. Go looks for it from the folder of this package.
var file = flag.String("report", "", "the report that the tests called TestReport... measure for")

const (
	hostdir = "hostdir"
	bare    = "bare"
)

// reporting skips a test that measures, unless there is a report to measure for.
func reporting(t *testing.T) {
	if *file == "" {
		t.Skip("measures only with -report FILE")
	}
	plugin.RequireRoot(t)
}

// add puts a part into the report.
func add(t *testing.T, part string, values []report.Value) {
	t.Helper()
	for _, v := range values {
		t.Logf("%-40s %-8s %6d: %.6g %s (%.6g to %.6g, %d runs)", v.What, v.Side, v.N, v.Median, v.Unit, v.Low, v.High, v.Runs)
	}
	if err := report.Add(*file, part, values); err != nil {
		t.Fatal(err)
	}
}

// layOut prepares the program as it is shipped, with its disk in this directory, and a
// directory beside it for the bare system calls.
func layOut(t *testing.T, dir string) (p *plugin.Plugin, beside string) {
	t.Helper()
	p = plugin.Layout(t, dir+"/pool")
	p.Plain = true
	p.Through = []string{"sh", "-c", `exec "$@" --v=2`, "sh"} // as the chart has it
	return p, dir + "/bare"
}

// onXFS lays out on a filesystem of its own that can share blocks.
func onXFS(t *testing.T, size int64) (p *plugin.Plugin, beside string) {
	t.Helper()
	return layOut(t, disk.Mount(t, "xfs", size))
}

// timed returns how long something takes.
func timed(t *testing.T, what string, f func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := f(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", what, err))
	}
	return time.Since(began)
}
