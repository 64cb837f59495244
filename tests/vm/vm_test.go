package vm

import (
	"bytes"
	"context"
	"flag"
	"io"
	"testing"
	"time"
)

// inMachine are the packages whose tests run in the virtual machine, as root and with QuotaDisks. `go test ./tests/vm
// -args pkg/quota` runs others instead.
var inMachine = []string{
	"tests/vm/kernel",
	"pkg/quota",
	"pkg/store",
}

// onlyTests are the tests of a package that want these disks, if not all do.
var onlyTests = map[string]string{
	"pkg/store": "Limited",
}

// packageTime is for the tests of one package.
const packageTime = 5 * time.Minute

func TestInMachine(t *testing.T) {
	packages := inMachine
	if flag.NArg() > 0 {
		packages = flag.Args()
	}
	options := Options{Disks: QuotaDisks}
	for _, p := range packages {
		options.Programs = append(options.Programs, BuildTest(t, p))
	}
	machine := Boot(t, options)
	for i, p := range packages {
		t.Run(p, func(t *testing.T) {
			// The program gives up a little earlier, and says where it stood.
			ctx, cancel := context.WithTimeout(t.Context(), packageTime+30*time.Second)
			defer cancel()
			var out bytes.Buffer
			err := machine.Run(ctx, io.MultiWriter(t.Output(), &out), options.Programs[i], "-test.v", "-test.run="+onlyTests[p], "-test.timeout="+packageTime.String())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(out.Bytes(), []byte("--- PASS: ")) {
				t.Error("none of its tests has run: they must take their filesystems from the environment (README.md)")
			}
		})
	}
}
