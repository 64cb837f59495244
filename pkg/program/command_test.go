package program

import (
	"context"
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestCommandNames(t *testing.T) {
	var called string
	var with []string
	newCommand := func(name string, args ...string) *Command {
		return &Command{
			Name: name, Args: args,
			Flags:    pflag.NewFlagSet(name, pflag.ContinueOnError),
			Validate: func() error { return nil },
			Run: func(_ context.Context, args []string) error {
				called, with = name, args
				return nil
			},
		}
	}
	p := &Program{Name: "program", Commands: []*Command{newCommand("disks"), newCommand("disks init", "PATH"), newCommand("volumes")}}
	for _, test := range []struct {
		line   []string
		called string // "" if the program is to serve
		with   []string
		code   int
	}{
		{[]string{"disks"}, "disks", nil, 0},
		{[]string{"disks", "init", "/mnt/a"}, "disks init", []string{"/mnt/a"}, 0},
		{[]string{"volumes"}, "volumes", nil, 0},
		{[]string{"disks", "init"}, "", nil, 2},
		{[]string{"disks", "init", "/mnt/a", "/mnt/b"}, "", nil, 2},
		{[]string{"disks", "other"}, "", nil, 2},
		{[]string{"init"}, "", nil, -1},
		{[]string{"--flag"}, "", nil, -1},
		{nil, "", nil, -1},
	} {
		called, with = "", nil
		code := -1
		if c, args := p.command(test.line); c != nil {
			code = c.main(p.Name, args)
		}
		if called != test.called || !slices.Equal(with, test.with) || code != test.code {
			t.Errorf("%q: called %q with %q, ended with %d; want %q, %q, %d", test.line, called, with, code, test.called, test.with, test.code)
		}
	}
}
