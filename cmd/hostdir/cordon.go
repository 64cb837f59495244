package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostdir/hostdir/pkg/program"
)

// cordons let a disk run empty. They ask nothing: the one takes back the other.
func cordons() []*program.Command {
	cordon, _ := newCommand("disks cordon", "let a disk take no new volumes; all else goes on", []string{"PATH"},
		func(ctx context.Context, c *call) error {
			now, err := c.plugin.Cordon(ctx, c.args[0], true)
			if err == nil {
				fmt.Printf("%s: %s\n", c.args[0], now)
			}
			return err
		})
	uncordon, _ := newCommand("disks uncordon", "let a disk take new volumes again", []string{"PATH"},
		func(ctx context.Context, c *call) error {
			now, err := c.plugin.Cordon(ctx, c.args[0], false)
			switch {
			case err != nil:
				return err
			case now.Why != "":
				return errors.New(now.Why)
			}
			fmt.Printf("%s: %s\n", c.args[0], now)
			return nil
		})
	return []*program.Command{cordon, uncordon}
}
