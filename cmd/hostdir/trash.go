package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hostdir/hostdir/pkg/program"
)

func showTrash(ctx context.Context, c *call) error {
	trash, err := c.plugin.Trash(ctx)
	if err != nil {
		return err
	}
	return c.format.print(trash, func(w io.Writer) error { return trash.WriteTable(w, time.Now()) })
}

// undelete brings back a deleted volume and prints the PersistentVolume that
// adopts it, and nothing else, to standard output.
func undelete() *program.Command {
	adoption := adoption{}
	command, _ := newCommand("undelete", "bring back a deleted volume, and print the PersistentVolume that adopts it", []string{"VOLUME"},
		func(ctx context.Context, c *call) error {
			volume, err := c.plugin.Undelete(ctx, c.args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "The volume is back at %s.\n", volume.Path)
			return adoption.print(volume)
		})
	adoption.addFlags(command.Flags)
	validate := command.Validate
	command.Validate = func() error { return errors.Join(adoption.validate(), validate()) }
	return command
}

func purge(ctx context.Context, c *call) error {
	trash, err := c.plugin.Trash(ctx)
	if err != nil {
		return err
	}
	if err := c.confirm(trash.PurgePlan(c.args[0]), os.Stdin, os.Stdout); err != nil {
		return err
	}
	volume, err := c.plugin.Purge(ctx, c.args[0])
	if err != nil {
		return err
	}
	fmt.Println("Being removed:", volume.Path)
	return nil
}
