package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hostdir/hostdir/pkg/program"
)

// checkCommand is `hostdir check`: a question, and with --repair an order.
func checkCommand() *program.Command {
	repair := false
	command, c := newCommand("check", "show what is wrong on this node, and what to do; fails if anything is", nil,
		func(ctx context.Context, c *call) error { return check(ctx, c, repair) })
	c.addOutput(command)
	command.Flags.BoolVar(&repair, "repair", false, "show what is safe to fix, ask, and fix it")
	c.addYes(command)
	validate := command.Validate
	command.Validate = func() error {
		if c.yes && !repair {
			return errors.New("--yes says yes to --repair, and means nothing without it")
		}
		return validate()
	}
	return command
}

// check fails, after it has shown all, if anything is wrong.
func check(ctx context.Context, c *call, repair bool) error {
	found, err := c.plugin.Check(ctx)
	if err != nil {
		return err
	}
	if repair && len(found.Repairable()) > 0 {
		// What is printed on stdout is the answer alone.
		if err := c.confirm(found.Plan(), os.Stdin, os.Stderr); err != nil {
			return err
		}
		if found, err = c.plugin.Repair(ctx); err != nil {
			return err
		}
	}
	err = c.format.print(found, func(w io.Writer) error { return found.WriteText(w) })
	if err != nil {
		return err
	}
	return found.Verdict()
}
