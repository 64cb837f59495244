package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/program"
)

// diskActions are what an operator can decide about a disk that the plugin does
// not use by itself.
func diskActions() []*program.Command {
	command := func(o disk.Action, summary string) *program.Command {
		return order("disks "+string(o), summary, []string{"PATH"}, func(ctx context.Context, c *call) error {
			return actOnDisk(ctx, c, o)
		})
	}
	return []*program.Command{
		command(disk.Init, "make a new disk of an empty directory where another disk was"),
		command(disk.Accept, "use the disk that is at a path now: an exchanged one, or one of several copies"),
	}
}

func actOnDisk(ctx context.Context, c *call, action disk.Action) error {
	plan, err := c.plugin.PlanDiskAction(ctx, action, c.args[0])
	if err != nil {
		return err
	}
	if err := c.confirm(plan.String(), os.Stdin, os.Stdout); err != nil {
		return err
	}
	done, err := c.plugin.Act(ctx, action, plan)
	if err != nil {
		return err
	}
	fmt.Printf("%s is in use: disk %s, volumes: %d\n", done.Path, done.UUID, done.Volumes)
	if done.Warning != "" {
		return fmt.Errorf("it is done, but hostdir cannot write it down and may ask again after a restart: %s", done.Warning)
	}
	return nil
}
