package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/store"
)

// poolOrders are what an operator can say about a base directory that the plugin
// does not use by itself.
func poolOrders() []*program.Command {
	command := func(o store.BaseOrder, summary string) *program.Command {
		return order("pools "+string(o), summary, []string{"PATH"}, func(ctx context.Context, c *call) error {
			return givePoolOrder(ctx, c, o)
		})
	}
	return []*program.Command{
		command(store.Init, "make a new pool of an empty base directory where another pool was"),
		command(store.Accept, "use the pool that is in a base directory now: an exchanged disk, or one of several copies"),
	}
}

func givePoolOrder(ctx context.Context, c *call, order store.BaseOrder) error {
	plan, err := c.plugin.PlanPoolOrder(ctx, order, c.args[0])
	if err != nil {
		return err
	}
	if err := c.confirm(plan.String(), os.Stdin, os.Stdout); err != nil {
		return err
	}
	done, err := c.plugin.GivePoolOrder(ctx, order, plan)
	if err != nil {
		return err
	}
	fmt.Printf("%s is in use: pool %s, volumes: %d\n", done.Path, done.UUID, done.Volumes)
	if done.Warning != "" {
		return fmt.Errorf("it is done, but hostdir cannot write it down and may ask again after a restart: %s", done.Warning)
	}
	return nil
}
