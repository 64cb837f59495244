package main

import (
	"testing"

	"github.com/hostdir/hostdir/tests/reference"
)

func TestDocsTellFlags(t *testing.T) {
	p := newProgram(&options{})
	if err := p.Parse([]string{"--namespace=hostdir-system"}); err != nil { // adds those of logging
		t.Fatal(err)
	}
	reference.Flags(t, "docs/reference/flags.md", reference.Rows(t, "reference/flags.md", "`hostdir-controller`", "Flag"), p.Flags)
}
