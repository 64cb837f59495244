package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/program"
)

// diskActions are what an operator can decide about a disk that the plugin does
// not use by itself.
func diskActions() []*program.Command {
	command := func(o admin.DiskOrder, summary string) *program.Command {
		return order("disks "+string(o), summary, []string{"PATH"}, func(ctx context.Context, c *call) error {
			return actOnDisk(ctx, c, o)
		})
	}
	return []*program.Command{
		command(admin.InitDisk, "make a new disk of an empty directory where another disk was"),
		command(admin.AcceptDisk, "use the disk that is at a path now: an exchanged one, or one of several copies"),
	}
}

func actOnDisk(ctx context.Context, c *call, action admin.DiskOrder) error {
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
	fmt.Println(done)
	return done.Err()
}
