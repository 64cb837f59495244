package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/hostdir/hostdir/pkg/program"
	"github.com/hostdir/hostdir/tests/reference"
)

func TestDocsTellFlags(t *testing.T) {
	p := newProgram(defaultOptions())
	if err := p.Parse([]string{"--node-name=node-1"}); err != nil { // adds those of logging
		t.Fatal(err)
	}
	reference.Flags(t, "docs/reference/flags.md", reference.Rows(t, "reference/flags.md", "`hostdir`", "Flag"), p.Flags)
}

// TestDocsTellFlagsOfCommands looks at all tables of the page at once: most flags are
// those of several commands.
func TestDocsTellFlagsOfCommands(t *testing.T) {
	all := pflag.NewFlagSet("all", pflag.ContinueOnError)
	for _, c := range commands() {
		all.AddFlagSet(c.Flags)
	}
	var rows []reference.Row
	for _, row := range reference.Rows(t, "reference/commands.md", "", "Flag") {
		same := func(r reference.Row) bool { return r[0] == row[0] }
		if !slices.ContainsFunc(rows, same) {
			rows = append(rows, row)
		}
	}
	reference.Flags(t, "docs/reference/commands.md", rows, all)
}

// TestDocsTellCommands looks for each command, and behind each heading for one.
func TestDocsTellCommands(t *testing.T) {
	page := reference.Page(t, "reference/commands.md")
	for _, c := range commands() {
		if !strings.Contains(page, "hostdir "+c.Name) {
			t.Errorf("docs/reference/commands.md does not name `hostdir %s`", c.Name)
		}
	}
	for _, heading := range regexp.MustCompile("(?m)^## `hostdir ([a-z ]+)`").FindAllStringSubmatch(page, -1) {
		if !slices.ContainsFunc(commands(), func(c *program.Command) bool { return c.Name == heading[1] }) {
			t.Errorf("docs/reference/commands.md explains `hostdir %s`, which there is not", heading[1])
		}
	}
}
