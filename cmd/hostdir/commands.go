package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/pkg/socket"
)

// commands are what the program answers an operator, by asking the plugin that
// runs beside it.
func commands() []*program.Command {
	return []*program.Command{
		question("pools", "show the base directories, their state and their room; fails if one cannot be used", showPools),
		question("volumes", "show the volumes, their claims and what they hold", showVolumes),
	}
}

// question is a command with the flags that all have in common.
func question(name, summary string, show func(context.Context, *admin.Client, format) error) *program.Command {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	endpoint := flags.String("endpoint", defaultOptions().endpoint, "the socket that the plugin serves CSI on, as unix://PATH")
	output := flags.StringP("output", "o", string(table), "how to show it: table or json")
	var client admin.Client
	return &program.Command{
		Name:    name,
		Summary: summary,
		Flags:   flags,
		Validate: func() error {
			if f := format(*output); f != table && f != inJSON {
				return fmt.Errorf("--output=%s is neither table nor json", f)
			}
			csi, err := socket.Path(*endpoint)
			client.Socket = admin.SocketPath(csi)
			return err
		},
		Run: func(ctx context.Context) error { return show(ctx, &client, format(*output)) },
	}
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

// showPools fails, after it has shown all, if a base directory cannot be used.
func showPools(ctx context.Context, plugin *admin.Client, f format) error {
	pools, err := plugin.Pools(ctx)
	if err != nil {
		return err
	}
	if err := f.print(pools, pools.WriteTable); err != nil {
		return err
	}
	return unusable(pools, "cannot be used")
}

// showVolumes fails, after it has shown all that are known, if there may be more.
func showVolumes(ctx context.Context, plugin *admin.Client, f format) error {
	volumes, err := plugin.Volumes(ctx)
	if err != nil {
		return err
	}
	pools, err := plugin.Pools(ctx)
	if err != nil {
		return err
	}
	err = f.print(volumes, func(w io.Writer) error { return volumes.WriteTable(w, time.Now()) })
	if err != nil {
		return err
	}
	return unusable(pools, "cannot be used, their volumes are not shown")
}

// unusable returns an error if there are base directories that cannot be used.
func unusable(pools admin.Pools, what string) error {
	var paths []string
	for _, b := range pools.BaseDirectories {
		if b.State == admin.Unusable {
			paths = append(paths, b.Path)
		}
	}
	if len(paths) > 0 {
		return fmt.Errorf("base directories that %s: %s", what, strings.Join(paths, ", "))
	}
	return nil
}
