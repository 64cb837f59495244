package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// The size of a character, and of what is around the text, in pixels.
	cellWidth  = 8.4
	lineHeight = 19
	margin     = 16
	barHeight  = 32
	minColumns = 60

	plain = "#c9d1d9" // the terminal's own colour
)

// draw returns the lines as a window of a terminal. Each span has the width that its
// characters have on a terminal, whatever font the reader has.
func draw(title string, lines [][]span) string {
	columns := minColumns
	for _, line := range lines {
		columns = max(columns, columnsOf(line))
	}
	wide, high := int(float64(columns)*cellWidth)+2*margin, barHeight+len(lines)*lineHeight+2*margin
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", wide, high, wide, high, escaped(title))
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" rx="8" fill="#0d1117"/>`+"\n", wide, high)
	for i, colour := range []string{"#ff5f56", "#ffbd2e", "#27c93f"} {
		fmt.Fprintf(&svg, `<circle cx="%d" cy="%d" r="6" fill="%s"/>`+"\n", margin+4+20*i, barHeight/2, colour)
	}
	const font = `font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"`
	if title != "" {
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="middle" %s font-size="12" fill="#8b949e">%s</text>`+"\n", wide/2, barHeight/2+4, font, escaped(title))
	}
	fmt.Fprintf(&svg, `<g %s font-size="14" fill="%s" xml:space="preserve">`+"\n", font, plain)
	for i, line := range lines {
		column := 0
		for _, s := range line {
			n := utf8.RuneCountInString(s.text)
			if strings.TrimSpace(s.text) != "" {
				fmt.Fprintf(&svg, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n",
					margin+float64(column)*cellWidth, barHeight+margin+i*lineHeight+14, float64(n)*cellWidth, s.attributes(), escaped(s.text))
			}
			column += n
		}
	}
	svg.WriteString("</g>\n</svg>\n")
	return svg.String()
}

func columnsOf(line []span) int {
	n := 0
	for _, s := range line {
		n += utf8.RuneCountInString(s.text)
	}
	return n
}

func (s style) attributes() string {
	var text string
	if s.colour != "" {
		text += fmt.Sprintf(` fill="%s"`, s.colour)
	}
	if s.bold {
		text += ` font-weight="bold"`
	}
	if s.dim {
		text += ` opacity="0.6"`
	}
	if s.underlined {
		text += ` text-decoration="underline"`
	}
	return text
}

func escaped(text string) string {
	var out strings.Builder
	xml.EscapeText(&out, []byte(text)) // a Builder does not fail
	return out.String()
}
