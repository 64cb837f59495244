// Command init is the first process of the virtual machine: it loads the kernel's modules, mounts the disks, runs
// what it is told to over the machine's port, and powers the machine off when the port's other end is closed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/vm/guest"
)

func main() {
	// What goes wrong without a port to report it to goes to the console. The kernel has no use for an exit status: it
	// panics when its first process ends.
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	fmt.Fprintln(os.Stderr, "init: power off:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func run() error {
	if err := mountKernel(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	port, err := os.OpenFile(guest.Port, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	reports := json.NewEncoder(port)
	disks, err := prepare()
	if err := reports.Encode(done(err)); err != nil {
		return err
	}
	for commands := json.NewDecoder(port); ; {
		var c guest.Command
		err := commands.Decode(&c)
		if errors.Is(err, io.EOF) {
			return unmountDisks(disks)
		}
		if err != nil {
			return err
		}
		if err := reports.Encode(done(execute(c, disks, reports))); err != nil {
			return err
		}
	}
}

// prepare makes the machine one that programs feel at home in.
func prepare() ([]guest.Disk, error) {
	disks, err := mountDisks()
	if err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"mkdir", "/bin"},
		{"--install", "-s", "/bin"}, // sh, mount and so on
		{"ifconfig", "lo", "up"},
	} {
		if out, err := exec.Command("busybox", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("busybox %q: %w\n%s", args, err, out)
		}
	}
	return disks, nil
}

// execute runs the command and reports what it prints.
func execute(c guest.Command, disks []guest.Disk, reports *json.Encoder) error {
	if len(c.Args) == 0 {
		return errors.New("a command without a program")
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	if cmd.Err != nil {
		return cmd.Err
	}
	cmd.Dir = "/tmp"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "TMPDIR=/tmp"}
	for _, d := range disks {
		cmd.Env = append(cmd.Env, d.Variable()+"="+d.MountPoint())
	}
	out := output{reports}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second // for what the program leaves behind
	return cmd.Run()
}

// output reports all that is written to it.
type output struct{ reports *json.Encoder }

func (o output) Write(p []byte) (int, error) {
	return len(p), o.reports.Encode(guest.Report{Output: p})
}

func done(err error) guest.Report {
	r := guest.Report{Done: true}
	if err != nil {
		r.Failure = err.Error()
	}
	return r
}
