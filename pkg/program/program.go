// Package program holds what hostdir's programs have in common: flags and
// logging, health checks, and running servers until one fails or the process is
// asked to stop.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// Program is one of hostdir's programs.
type Program struct {
	Name    string
	Version string
	// Flags are the program's own.
	Flags *pflag.FlagSet
	// Validate checks the flags once they are parsed.
	Validate func() error
	// Run serves until the context ends or something fails.
	Run func(ctx context.Context) error
	// Commands are what the program does in place of serving, when it is called
	// with the name of one.
	Commands []*Command

	log         logging
	showVersion bool
}

// The kernel hands a signal to a process's main thread first (complete_signal in
// kernel/signal.c). While that is stuck on a disk that does not answer, SIGTERM
// waits with it. So the main thread does nothing but wait for the servers.
func init() { runtime.LockOSThread() }

// Parse reads the command line of a program that serves.
func (p *Program) Parse(args []string) error {
	p.Flags.Usage = p.usage
	p.log.addFlags(p.Flags)
	p.Flags.BoolVar(&p.showVersion, "version", false, "print the version and exit")
	if err := p.Flags.Parse(args); err != nil || p.showVersion {
		return err
	}
	if p.Flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", p.Flags.Arg(0))
	}
	return errors.Join(p.log.validate(), p.Validate())
}

// Main runs the program, or one of its commands, and returns the exit status: 2
// for bad flags, 1 for failure.
func (p *Program) Main() int {
	if c, args := p.command(os.Args[1:]); c != nil {
		return c.main(p.Name, args)
	}
	err := p.Parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		return badFlags(p.Name, err)
	case p.showVersion:
		fmt.Println(p.Name, p.Version)
		return 0
	}
	p.log.setUp()
	defer klog.Flush()
	// Sockets are root's alone. Every other mode is set explicitly.
	unix.Umask(0o077)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	klog.InfoS(p.Name+" starts", "version", p.Version)
	if err := p.Run(ctx); err != nil {
		klog.ErrorS(err, p.Name+" ends")
		return 1
	}
	klog.InfoS(p.Name + " stopped")
	return 0
}
