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
	p := &Program{Name: "program", Commands: []*Command{newCommand("pools"), newCommand("pools init", "PATH"), newCommand("volumes")}}
	for _, test := range []struct {
		line   []string
		called string // "" if the program is to serve
		with   []string
		code   int
	}{
		{[]string{"pools"}, "pools", nil, 0},
		{[]string{"pools", "init", "/mnt/a"}, "pools init", []string{"/mnt/a"}, 0},
		{[]string{"volumes"}, "volumes", nil, 0},
		{[]string{"pools", "init"}, "", nil, 2},
		{[]string{"pools", "init", "/mnt/a", "/mnt/b"}, "", nil, 2},
		{[]string{"pools", "other"}, "", nil, 2},
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
