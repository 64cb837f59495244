package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestFailures distinguishes failures of programs, and at last of the machine, from success.
func TestFailures(t *testing.T) {
	machine := Boot(t, Options{})
	for _, test := range []struct {
		name, script, output, err string
	}{
		{"success", "echo well; ifconfig lo | grep -q UP", "well\n", ""},
		{"a program with libraries", "mkfs.ext4 -V 2>&1 | grep -o mke2fs", "mke2fs\n", ""},
		{"a failing program", "echo poor; exit 3", "poor\n", "sh in the virtual machine: exit status 3"},
		{"a killed program", "kill -KILL $$", "", "signal: killed"},
		{"one that leaves another behind", "sleep 1000 & echo left", "left\n", "I/O"},
		{"the machine works on", "echo well", "well\n", ""},
		{"a panic of the kernel", "echo c >/proc/sysrq-trigger; sleep 1000", "", "Kernel panic"},
		{"nothing after it", "echo well", "", "the machine has ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := machine.Run(t.Context(), &out, "sh", "-c", test.script)
			if out.String() != test.output {
				t.Errorf("it printed %q, want %q", &out, test.output)
			}
			if got := errorText(err); (test.err == "") != (got == "") || !strings.Contains(got, test.err) {
				t.Errorf("the error is %q, want %q", got, test.err)
			}
		})
	}
}

// TestHang ends a machine that says nothing. Any program serves for that.
func TestHang(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	qemu, err := watch(exec.Command("sh", "-c", "echo booting; exec sleep 1000"), nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	machine := &Machine{qemu, ours, json.NewDecoder(ours)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = machine.Run(ctx, t.Output(), "program")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "booting") {
		t.Errorf("the error is %v; it should name the deadline and what was on the console", err)
	}
	select {
	case <-qemu.ended:
	default:
		t.Error("the machine was not ended")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
