package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	red, bold := style{colour: colours[1]}, style{bold: true}
	for _, test := range []struct {
		name, text string
		want       [][]span
	}{
		{"plain", "a\n\nb\n\n", [][]span{{{"a", style{}}}, nil, {{"b", style{}}}}},
		{"colours", "\x1b[31mred\x1b[0m plain \x1b[1mbold\x1b[22m.", [][]span{{{"red", red}, {" plain ", style{}}, {"bold", bold}, {".", style{}}}}},
		{"a colour that goes on", "\x1b[31ma\nb\x1b[m", [][]span{{{"a", red}}, {{"b", red}}}},
		{"several at once", "\x1b[1;4;2;97mx\x1b[24;39;22my", [][]span{{{"x", style{colours[15], true, true, true}}, {"y", style{}}}}},
		{"other sequences", "\x1b[2K\x1b[?25la\x1b]0;title\x07b\r\n\x1b(Bc\x08", [][]span{{{"a", style{}}, {"b", style{}}}, {{"c", style{}}}}},
		{"not UTF-8", "a\xff\tb", [][]span{{{"a\uFFFD        b", style{}}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parse(test.text), cmp.AllowUnexported(span{}, style{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDraw(t *testing.T) {
	got := draw("<me>", parse("$ \x1b[1;32ma & b\x1b[0m\n█░ \"x\""))
	want := `<svg xmlns="http://www.w3.org/2000/svg" width="536" height="102" viewBox="0 0 536 102" role="img" aria-label="&lt;me&gt;">
<rect width="536" height="102" rx="8" fill="#0d1117"/>
<circle cx="20" cy="16" r="6" fill="#ff5f56"/>
<circle cx="40" cy="16" r="6" fill="#ffbd2e"/>
<circle cx="60" cy="16" r="6" fill="#27c93f"/>
<text x="268" y="20" text-anchor="middle" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="12" fill="#8b949e">&lt;me&gt;</text>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#c9d1d9" xml:space="preserve">
<text x="16.0" y="62" textLength="16.8">$ </text>
<text x="32.8" y="62" textLength="42.0" fill="#3fb950" font-weight="bold">a &amp; b</text>
<text x="16.0" y="81" textLength="50.4">█░ &#34;x&#34;</text>
</g>
</svg>
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A command has a terminal, and may fail.
func TestSession(t *testing.T) {
	text, err := session(commands{"test -t 1 && stty size | cut -d ' ' -f 2", "echo no >&2; exit 1"})
	if err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1m$ test -t 1 && stty size | cut -d ' ' -f 2\x1b[0m\n120\r\n\n\x1b[1m$ echo no >&2; exit 1\x1b[0m\nno\r\n"
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever a terminal shows becomes XML that can be read.
func FuzzDraw(f *testing.F) {
	f.Add("\x1b[31m<a href='x'>&\x1b[0m\x00\x1b[38;5;9m\uFFFE")
	f.Fuzz(func(t *testing.T, text string) {
		svg := draw(text, parse(text))
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			_, err := d.Token()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("%v:\n%s", err, svg)
			}
		}
	})
}
