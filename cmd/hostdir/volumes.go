package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/program"
)

// volumeActions are for volumes that Kubernetes has forgotten: one is deleted, or
// shown to Kubernetes anew.
func volumeActions() []*program.Command {
	return []*program.Command{
		order("volumes delete", "move a volume that nobody needs any more to the trash", []string{"VOLUME"}, deleteVolume),
		persistentVolumes(),
	}
}

func deleteVolume(ctx context.Context, c *call) error {
	plan, err := c.plugin.PlanDeletion(ctx, c.args[0])
	if err != nil {
		return err
	}
	if len(plan.Deleted) > 0 {
		for _, v := range plan.Deleted {
			fmt.Println("In the trash already:", v.Entry)
		}
		return nil
	}
	if err := c.confirm(plan.String(), os.Stdin, os.Stdout); err != nil {
		return err
	}
	deleted, err := c.plugin.Delete(ctx, plan.ID)
	if err != nil {
		return err
	}
	if deleted.Entry == "" || plan.TrashTTL == 0 {
		fmt.Println("Being removed:", plan.ID)
	} else {
		fmt.Println("In the trash:", deleted.Entry)
	}
	return nil
}

// persistentVolumes prints PersistentVolumes that adopt volumes, and nothing else,
// to standard output. It fails, after it has printed what it can, if there may be
// more.
func persistentVolumes() *program.Command {
	adoption, all := adoption{}, false
	command, _ := newCommand("volumes pv", "print the PersistentVolume that adopts a volume, or with --all those of all volumes", []string{"[VOLUME]"},
		func(ctx context.Context, c *call) error {
			ref := ""
			if !all {
				ref = c.args[0]
			}
			found, err := c.plugin.Adoptables(ctx, ref)
			if err != nil {
				return err
			}
			for _, v := range found.Volumes {
				if err := adoption.print(v); err != nil {
					return err
				}
			}
			for _, why := range found.LeftOut {
				fmt.Fprintln(os.Stderr, "Left out:", why)
			}
			if !all {
				return nil
			}
			return missing(ctx, c, found)
		})
	adoption.addFlags(command.Flags)
	command.Flags.BoolVar(&all, "all", false, "those of all volumes on this node of which it is clear whose they are")
	validate := command.Validate
	command.Validate = func() error {
		switch named := command.Flags.Arg(0) != ""; {
		case !named && !all:
			return errors.New("VOLUME is missing; or is it --all?")
		case named && all:
			return errors.New("either one VOLUME or --all")
		case all && adoption.claim != "":
			return errors.New("--claim is for one VOLUME, not for --all")
		}
		return errors.Join(adoption.validate(), validate())
	}
	return command
}

// missing is an error if not all volumes of this node were found.
func missing(ctx context.Context, c *call, found admin.Adoptables) error {
	disks, err := c.plugin.Disks(ctx)
	if err != nil {
		return err
	}
	var why []string
	if n := len(found.LeftOut); n > 0 {
		why = append(why, fmt.Sprintf("volumes left out: %d", n))
	}
	if err := unusable(disks, "cannot be used, their volumes may be missing"); err != nil {
		why = append(why, err.Error())
	}
	if len(why) > 0 {
		return errors.New(strings.Join(why, "; "))
	}
	return nil
}
