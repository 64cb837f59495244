// Command conformance builds what Kubernetes' own tests of storage drivers take, and prints where it is, a path a
// line: Ginkgo, which runs them, the tests, and archives of the images of their pods. See run.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hostdir/hostdir/tests/cluster/images"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

//go:embed suite.go
var suite []byte

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func build() error {
	cache, err := programs.OpenCache()
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	built, err := cache.BuildInKubernetes(say,
		programs.Command{Name: "storage.test", Source: suite, Takes: "some 5 minutes the first time"},
		programs.Command{Name: "ginkgo", Package: "github.com/onsi/ginkgo/v2/ginkgo"},
		programs.Command{Name: "agnhost", Package: "k8s.io/kubernetes/test/images/agnhost"},
	)
	if err != nil {
		return err
	}
	tests, ginkgo, agnhost := built[0], built[1], built[2]
	names, err := exec.Command(tests, "-images").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its images: %w", tests, err)
	}
	if err := programs.Require(say, "busybox"); err != nil {
		return err
	}
	archives, err := images.OfTests(cache, agnhost, strings.Fields(string(names)))
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(append([]string{ginkgo, tests}, archives...), "\n"))
	return nil
}
