package vm

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"
)

// inMachine are the packages whose tests run in the virtual machine, as root and with QuotaDisks. Add yours.
var inMachine = []string{
	"tests/vm/kernel",
}

// programTime is for the tests of one package.
const programTime = 5 * time.Minute

func TestInMachine(t *testing.T) {
	options := Options{Disks: QuotaDisks}
	for _, p := range inMachine {
		options.Programs = append(options.Programs, BuildTest(t, p))
	}
	machine := Boot(t, options)
	for i, p := range inMachine {
		t.Run(p, func(t *testing.T) {
			// The program gives up first, because it can tell where it stood.
			ctx, cancel := context.WithTimeout(t.Context(), programTime+30*time.Second)
			defer cancel()
			var out bytes.Buffer
			program := filepath.Base(options.Programs[i])
			if err := machine.Run(ctx, io.MultiWriter(t.Output(), &out), program, "-test.v", "-test.timeout="+programTime.String()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(out.Bytes(), []byte("--- PASS: ")) {
				t.Errorf("no test of %s has run: they must take their filesystems from the environment, see README.md", p)
			}
		})
	}
}
