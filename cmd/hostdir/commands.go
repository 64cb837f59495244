package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/socket"
)

// commands are what the program does for an operator, by way of the plugin that
// runs beside it.
func commands() []*program.Command {
	disks := question("disks", "show the disks, their state and their room; fails if one cannot be used", showDisks)
	volumes := question("volumes", "show the volumes, the claims that they were made for and what they hold", showVolumes)
	return slices.Concat(
		[]*program.Command{disks}, diskActions(), cordons(),
		[]*program.Command{volumes}, volumeActions(),
		[]*program.Command{
			question("snapshots", "show the snapshots, what they hold and what they hold alone", showSnapshots),
			question("trash", "show the deleted volumes whose files are still there", showTrash),
			undelete(),
			order("purge", "remove a deleted volume before its time, for good", []string{"VOLUME"}, purge),
			checkCommand(),
			relay(),
		})
}

// call is what a command was called with.
type call struct {
	plugin admin.Client
	format format
	args   []string
	yes    bool
}

// newCommand is a command with the flag that all have in common.
func newCommand(name, summary string, args []string, run func(context.Context, *call) error) (*program.Command, *call) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	endpoint := flags.String("endpoint", defaultOptions().endpoint, "the socket that the plugin serves CSI on, as unix://PATH")
	c := &call{format: table}
	return &program.Command{
		Name:    name,
		Summary: summary,
		Args:    args,
		Flags:   flags,
		Validate: func() error {
			if c.format != table && c.format != inJSON {
				return fmt.Errorf("--output=%s is neither table nor json", c.format)
			}
			csi, err := socket.Path(*endpoint)
			c.plugin.Socket = admin.SocketPath(csi)
			return err
		},
		Run: func(ctx context.Context, args []string) error {
			c.args = args
			return run(ctx, c)
		},
	}, c
}

// question is a command that shows something.
func question(name, summary string, show func(context.Context, *call) error) *program.Command {
	command, c := newCommand(name, summary, nil, show)
	c.addOutput(command)
	return command
}

func (c *call) addOutput(command *program.Command) {
	command.Flags.StringVarP((*string)(&c.format), "output", "o", string(table), "how to show it: table or json")
}

// order is a command that changes something and should not be given by mistake. It
// first says what it is going to do, and asks; --yes is the answer beforehand.
func order(name, summary string, args []string, run func(context.Context, *call) error) *program.Command {
	command, c := newCommand(name, summary, args, run)
	c.addYes(command)
	return command
}

func (c *call) addYes(command *program.Command) {
	command.Flags.BoolVar(&c.yes, "yes", false, "do it without asking")
}

// format is how answers are shown.
type format string

const (
	table  format = "table"
	inJSON format = "json"
)

func (f format) print(answer any, writeTable func(io.Writer) error) error {
	if f == table {
		return writeTable(os.Stdout)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(answer)
}

// showDisks fails, after it has shown all, if a disk cannot be used.
func showDisks(ctx context.Context, c *call) error {
	disks, err := c.plugin.Disks(ctx)
	if err != nil {
		return err
	}
	if err := c.format.print(disks, disks.WriteTable); err != nil {
		return err
	}
	return unusable(disks, "cannot be used")
}

// showVolumes fails, after it has shown all that are known, if there may be more.
func showVolumes(ctx context.Context, c *call) error {
	volumes, err := c.plugin.Volumes(ctx)
	if err != nil {
		return err
	}
	disks, err := c.plugin.Disks(ctx)
	if err != nil {
		return err
	}
	err = c.format.print(volumes, func(w io.Writer) error { return volumes.WriteTable(w, time.Now()) })
	if err != nil {
		return err
	}
	return unusable(disks, "cannot be used, their volumes are not shown")
}

// showSnapshots fails as showVolumes does.
func showSnapshots(ctx context.Context, c *call) error {
	snapshots, err := c.plugin.Snapshots(ctx)
	if err != nil {
		return err
	}
	disks, err := c.plugin.Disks(ctx)
	if err != nil {
		return err
	}
	err = c.format.print(snapshots, func(w io.Writer) error { return snapshots.WriteTable(w, time.Now()) })
	if err != nil {
		return err
	}
	return unusable(disks, "cannot be used, their snapshots are not shown")
}

// unusable returns an error if there are disks that cannot be used.
func unusable(disks admin.Disks, what string) error {
	var paths []string
	for _, b := range disks.Disks {
		if b.State == admin.Unusable {
			paths = append(paths, b.Path)
		}
	}
	if len(paths) > 0 {
		return fmt.Errorf("disks that %s: %s", what, strings.Join(paths, ", "))
	}
	return nil
}
