package docs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, lines ...string) *page {
	t.Helper()
	p := &page{path: "page.md", lines: lines}
	if err := p.parse(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBlocksAreFound(t *testing.T) {
	p := parse(t,
		"# Heading",
		"    under a heading",
		"Text,",
		"    that goes on.",
		"",
		"    several",
		"",
		"    lines",
		"",
		"    kind: StorageClass", // goes on in the block above, as Markdown has it
		"",
		"- item",
		"",
		"      in a list",
		"",
		"  goes on",
		"",
		"    and on",
		"",
		"Text",
		"",
		"<!-- not run: a machine with a reset button is missing -->",
		"",
		"    press",
		"",
		"<!-- run after:",
		"first",
		"second -->",
		"",
		"```",
		"fenced",
		"```",
		"",
		"```yaml",
		"a file",
		"```",
		"",
		"    key: value",
		"    other: {}",
		"",
		"<!-- file: values.yaml -->",
		"",
		"    key: other",
	)
	type found struct {
		text                string
		run                 bool
		after, notRun, file string
	}
	var got []found
	for _, b := range p.blocks {
		got = append(got, found{b.commands[0].text, b.run, b.after, b.notRun, b.file})
	}
	want := []found{
		{text: "under a heading"},
		{text: "several\n\nlines\n\nkind: StorageClass"},
		{text: "in a list"},
		{text: "press", notRun: "a machine with a reset button is missing"},
		{text: "fenced", run: true, after: "first\nsecond"},
		{text: "key: other", file: "values.yaml"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(found{})); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestSessionsAreRead(t *testing.T) {
	p := parse(t, "```console", "$ one \\", "    --more", "out", "", "put", "$ two", "$ three", "end", "```")
	var got []string
	for _, c := range p.blocks[0].commands {
		got = append(got, c.text, strings.Join(p.output(c), "|"))
	}
	if diff := cmp.Diff([]string{"one \\\n    --more", "out||put", "two", "", "three", "end"}, got); diff != "" {
		t.Errorf("commands and their output (-want +got):\n%s", diff)
	}
}

func TestBadPagesAreRefused(t *testing.T) {
	for _, lines := range []string{
		"```console\nout\n$ command\n```", // output of nothing
		"```\ncommand",                    // no end
		"```\n```",                        // nothing
		"<!-- not run: because of this -->\n\nText",                      // of no block
		"<!-- not run: because of this -->\n\n    key: {}",               // of a file
		"<!-- nor run: because of this -->\n\n    command",               // misspelt
		"<!-- run: -->\n\n    command",                                   // the same
		"<!-- run -->\n\nText",                                           // of no block
		"<!-- run -->\n\n    key: {}",                                    // of a file
		"<!-- file: a.yaml -->\n\n    command",                           // of commands
		"<!-- run after: -->\n\n    command",                             // after nothing
		"<!-- run -->\n<!-- not run: because of this -->\n\n    command", // both
		"<!-- not run: -->\n\n    command",                               // no reason
		"<!-- not run: for ever\n\n    command",                          // no end
	} {
		p := &page{path: "page.md", lines: strings.Split(lines, "\n")}
		if err := p.parse(); err == nil {
			t.Errorf("nothing is wrong with\n%s", lines)
		}
	}
}
