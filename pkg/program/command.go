package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// Command is something that a program does once, for a person.
type Command struct {
	Name string
	// Summary is one line for --help.
	Summary string
	Flags   *pflag.FlagSet
	// Validate checks the flags once they are parsed.
	Validate func() error
	// Run does it. Its error is told to the person.
	Run func(ctx context.Context) error
}

// command is the one that the arguments name, nil if they name none.
func (p *Program) command(args []string) *Command {
	for _, c := range p.Commands {
		if len(args) > 0 && args[0] == c.Name {
			return c
		}
	}
	return nil
}

func (c *Command) main(program string, args []string) int {
	name := program + " " + c.Name
	c.Flags.Usage = func() {
		fmt.Fprintf(os.Stderr, "%s: %s\n\nFlags:\n%s", name, c.Summary, c.Flags.FlagUsages())
	}
	err := c.Flags.Parse(args)
	if err == nil && c.Flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", c.Flags.Arg(0))
	}
	if err == nil {
		err = c.Validate()
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		return badFlags(name, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if err := c.Run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func badFlags(name string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\nSee %s --help.\n", name, err, name)
	return 2
}

// usage is what --help says.
func (p *Program) usage() {
	if len(p.Commands) == 0 {
		fmt.Fprintf(os.Stderr, "Usage: %s [flags]\n", p.Name)
	} else {
		fmt.Fprintf(os.Stderr, "Usage: %s [flags], or %s COMMAND [flags]\n\nCommands:\n", p.Name, p.Name)
		for _, c := range p.Commands {
			fmt.Fprintf(os.Stderr, "  %-10s %s\n", c.Name, c.Summary)
		}
	}
	fmt.Fprintf(os.Stderr, "\nFlags:\n%s", p.Flags.FlagUsages())
}
