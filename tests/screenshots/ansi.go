package main

import (
	"regexp"
	"strconv"
	"strings"
)

// style is how text looks. The colour is "" for the terminal's own.
type style struct {
	colour                string
	bold, dim, underlined bool
}

// span is text of one style in one line.
type span struct {
	text string
	style
}

// colours are the terminal's sixteen.
var colours = [16]string{
	"#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
	"#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
}

// escape is a sequence to the terminal: a style is (1), its end (2), another one is left out.
var escape = regexp.MustCompile(`\x1b(?:\[([0-9;?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78])`)

// parse splits text into lines of spans.
func parse(text string) [][]span {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.TrimRight(text, "\n")
	var lines [][]span
	var now style
	for line := range strings.SplitSeq(text, "\n") {
		var spans []span
		add := func(text string) {
			if text = printable(text); text != "" {
				spans = append(spans, span{text, now})
			}
		}
		for rest := line; ; {
			at := escape.FindStringSubmatchIndex(rest)
			if at == nil {
				add(rest)
				break
			}
			add(rest[:at[0]])
			if at[4] >= 0 && rest[at[4]:at[5]] == "m" {
				now.change(rest[at[2]:at[3]])
			}
			rest = rest[at[1]:]
		}
		lines = append(lines, spans)
	}
	return lines
}

// printable leaves out what XML cannot hold and no terminal shows.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFE' || r == '\uFFFF' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(text, "\t", "        "), "\uFFFD"))
}

// change applies numbers of "select graphic rendition".
func (s *style) change(numbers string) {
	for number := range strings.SplitSeq(numbers, ";") {
		switch n, _ := strconv.Atoi(number); {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.dim = true
		case n == 4:
			s.underlined = true
		case n == 22:
			s.bold, s.dim = false, false
		case n == 24:
			s.underlined = false
		case n >= 30 && n <= 37:
			s.colour = colours[n-30]
		case n == 39:
			s.colour = ""
		case n >= 90 && n <= 97:
			s.colour = colours[n-90+8]
		}
	}
}
