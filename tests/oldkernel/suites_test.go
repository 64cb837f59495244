package main

import (
	"flag"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/tests/plugin"
)

var long = flag.Bool("long", false, "run the tests of pkg/store without system calls as well")

// TestSuites runs other tests of hostdir without the system calls that RHEL 8
// lacks: what holds on a new kernel holds there. The program that they run
// inherits what is lacking.
func TestSuites(t *testing.T) {
	plugin.RequireRoot(t)
	suites := []string{"pkg/dir", "pkg/mounter", "tests/inputs"}
	if *long {
		suites = append(suites, "pkg/store")
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			built := filepath.Join(t.TempDir(), "suite")
			dir := filepath.Join("../..", suite)
			build := exec.Command("go", "test", "-c", "-o", built, ".")
			build.Dir = dir
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go test -c: %v\n%s", err, out)
			}
			command := append(on(t, "4.18"), built, "-test.timeout=10m")
			run := exec.Command(command[0], command[1:]...)
			run.Dir = dir
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
