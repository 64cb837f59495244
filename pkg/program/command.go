package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// Command is something that a program does once, for a person.
type Command struct {
	// Name is one word or several: "disks", "disks init".
	Name string
	// Args are the names of the arguments that must follow, for --help. Those in
	// brackets, at the end, may be left out.
	Args []string
	// Summary is one line for --help.
	Summary string
	Flags   *pflag.FlagSet
	// Validate checks the flags once they are parsed.
	Validate func() error
	// Run does it, with the arguments that Args asks for. Its error is shown to
	// the person.
	Run func(ctx context.Context, args []string) error
}

// command returns the command that the arguments begin with, nil if there is
// none, and the arguments behind its name. Of several the longest name counts.
func (p *Program) command(args []string) (found *Command, rest []string) {
	for _, c := range p.Commands {
		words := strings.Fields(c.Name)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		if found == nil || len(c.Name) > len(found.Name) {
			found, rest = c, args[len(words):]
		}
	}
	return found, rest
}

func (c *Command) main(program string, args []string) int {
	name := program + " " + c.Name
	c.Flags.Usage = func() {
		fmt.Printf("%s: %s\n\nUsage: %s\n\nFlags:\n%s", name, c.Summary, c.usage(program), c.Flags.FlagUsages())
	}
	err := c.Flags.Parse(args)
	if err == nil {
		err = c.checkArgs(c.Flags.Args())
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
	if err := c.Run(ctx, c.Flags.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func (c *Command) checkArgs(args []string) error {
	switch {
	case len(args) > len(c.Args):
		return fmt.Errorf("unexpected argument %q", args[len(c.Args)])
	case len(args) < len(c.Args) && !strings.HasPrefix(c.Args[len(args)], "["):
		return fmt.Errorf("%s is missing", c.Args[len(args)])
	}
	return nil
}

// usage returns how to call the command.
func (c *Command) usage(program string) string {
	return strings.Join(append([]string{program, c.Name, "[flags]"}, c.Args...), " ")
}

func badFlags(name string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\nSee %s --help.\n", name, err, name)
	return 2
}

// usage prints what --help shows. It was asked for, so it goes to standard output.
func (p *Program) usage() {
	if len(p.Commands) == 0 {
		fmt.Printf("Usage: %s [flags]\n", p.Name)
	} else {
		fmt.Printf("Usage: %s [flags], or %s COMMAND [flags]\n\nCommands:\n", p.Name, p.Name)
		for _, c := range p.Commands {
			fmt.Printf("  %-14s %s\n", c.Name, c.Summary)
		}
	}
	fmt.Printf("\nFlags:\n%s", p.Flags.FlagUsages())
}
