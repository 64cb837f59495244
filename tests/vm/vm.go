// Package vm boots a small virtual machine whose kernel has what the machine that runs the tests may not have:
// project quotas on XFS and ext4, and btrfs. It boots in seconds: Debian's kernel for clouds, our own init, and the
// programs to run, on processors that QEMU emulates. Only the kernel is kept, in the user's cache folder.
package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

// Options say what a machine has.
type Options struct {
	// Programs are paths of programs. The machine knows each by its last element.
	Programs []string
	Disks    []Disk
	// Memory in MiB; 768 if not given.
	Memory int
}

const (
	bootTime = 2 * time.Minute // some 6 s, unless this machine is very busy
	offTime  = 20 * time.Second
)

// Machine is a virtual machine that has booted.
type Machine struct {
	qemu    *process
	port    net.Conn
	reports *json.Decoder
}

// Boot boots a machine that is there until the test ends. Its console goes to the test's output.
func Boot(t testing.TB, o Options) *Machine {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skipf("the virtual machine is made for amd64; this machine is %s", runtime.GOARCH)
	}
	say := func(format string, args ...any) { fmt.Fprintf(t.Output(), "vm: "+format+"\n", args...) }
	m, err := start(o, t.Output(), say)
	if err != nil {
		t.Fatalf("start the virtual machine: %v", err)
	}
	t.Cleanup(func() {
		if err := m.powerOff(); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	if err := m.await(ctx, io.Discard); err != nil {
		t.Fatalf("boot the virtual machine: %v", err)
	}
	say("booted in %s", time.Since(began).Round(100*time.Millisecond))
	return m
}

func start(o Options, console io.Writer, say func(string, ...any)) (*Machine, error) {
	kernel, err := fetchKernel(o.Disks, say)
	if err != nil {
		return nil, err
	}
	initramfs, err := makeInitramfs(kernel, o)
	if err != nil {
		return nil, err
	}
	defer initramfs.Close()
	var drives []drive
	for _, d := range o.Disks {
		image, err := d.image()
		if err != nil {
			return nil, fmt.Errorf("make the disk %s: %w", d.Name, err)
		}
		defer image.Close()
		drives = append(drives, drive{d.Name, image})
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if o.Memory == 0 {
		o.Memory = 768
	}
	qemu, err := startQEMU(kernel.image, initramfs, drives, theirs, o.Memory, console)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &Machine{qemu, ours, json.NewDecoder(ours)}, nil
}

// Run runs a program in the machine as root, one of Options or one of busybox's, and writes what it prints to output. The
// error says that it failed, or that the machine did. When ctx is done first, the machine is ended.
func (m *Machine) Run(ctx context.Context, output io.Writer, program string, args ...string) error {
	program = filepath.Base(program)
	command := guest.Command{Args: append([]string{program}, args...)}
	if err := json.NewEncoder(m.port).Encode(command); err != nil {
		return fmt.Errorf("%s cannot be run in the virtual machine: %w", program, m.lost(ctx, err))
	}
	if err := m.await(ctx, output); err != nil {
		return fmt.Errorf("%s in the virtual machine: %w", program, err)
	}
	return nil
}

// await reads what init reports until it is done with what it does.
func (m *Machine) await(ctx context.Context, output io.Writer) error {
	stop := context.AfterFunc(ctx, func() { m.port.SetReadDeadline(time.Now()) })
	defer stop()
	for {
		var r guest.Report
		if err := m.reports.Decode(&r); err != nil {
			return m.lost(ctx, err)
		}
		if _, err := output.Write(r.Output); err != nil {
			return err
		}
		if r.Failure != "" {
			return errors.New(r.Failure)
		}
		if r.Done {
			return nil
		}
	}
}

// lost says why no more reports come, and ends what may be left of the machine.
func (m *Machine) lost(ctx context.Context, err error) error {
	what := "the machine has ended"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		what, err = "there was no end to it, so the machine was ended", context.Cause(ctx)
	}
	m.qemu.kill()
	return fmt.Errorf("%s (%w); its console said last:\n%s", what, err, m.qemu.console.tail())
}

// powerOff ends the machine: properly if it can, else by force.
func (m *Machine) powerOff() error {
	m.port.Close() // init takes it for the wish to end
	select {
	case <-m.qemu.ended:
		return nil
	case <-time.After(offTime):
		m.qemu.kill()
		return fmt.Errorf("the virtual machine did not power itself off within %s, and was ended; its console said last:\n%s",
			offTime, m.qemu.console.tail())
	}
}
