package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/hostdir/hostdir/tests/peers/report"
)

// A plot shows values of some sides as bars, one group for each row.
type plot struct {
	file, title string
	rows        []row
	sides       []string
}

// A row is a value, with the name that the plot has for it.
type row struct {
	name, what string
	n          int
}

// replicas are rows of what was measured of StatefulSets.
func replicas(what string) []row {
	return []row{{"1 replica", what, 1}, {"10 replicas", what, 10}, {"30 replicas", what, 30}, {"100 replicas", what, 100}}
}

// among10k are rows of calls among 10,000 volumes.
func among10k(calls ...string) (rows []row) {
	for _, call := range calls {
		rows = append(rows, row{call, call, 10_000})
	}
	return rows
}

var (
	drivers = []string{hostdir, localPath, emptyDir}
	plots   = []plot{
		{"bench-bound.svg", "A claim until it is Bound, p50 (less is better)", replicas("claim until Bound"), drivers},
		{"bench-ready.svg", "All replicas until they are ready (less is better)", replicas("all replicas until ready"), drivers},
		{"bench-gone.svg", "All replicas until they and their volumes are gone (less is better)", replicas("all gone, with their volumes"), drivers},
		{"bench-binder.svg", "A claim of 30 until it is Bound, p50, by the requests a second that kube-controller-manager may send", []row{
			{"20 (default)", "claim until Bound, kube-controller-manager at 20 requests a second", 30},
			{"200", "claim until Bound, kube-controller-manager at 200 requests a second", 30},
		}, []string{"with fast binding", "without fast binding"}},
		{"bench-calls.svg", "Calls among 10,000 volumes (less is better)", among10k("CreateVolume", "DeleteVolume", "NodePublishVolume",
			"NodeUnpublishVolume", "NodeGetVolumeStats", "NodeExpandVolume", "CreateSnapshot", "DeleteSnapshot", "GetCapacity"), []string{hostdir, bare}},
	}
)

const (
	wide      = 760
	nameWide  = 170
	valueWide = 90
	barHigh   = 14
	headHigh  = 62
)

// colours of the sides, which stand out from white and from black.
var colours = []string{"#2f81f7", "#d9822b", "#8b949e"}

// draw returns the plot, or "" if nothing of it was measured. The page's theme decides on
// the colour of its text; the background is the page's.
func (p plot) draw(r report.Report) string {
	type bar struct {
		side  int
		value report.Value
	}
	bars := make([][]bar, len(p.rows))
	var most float64
	high := headHigh
	for i, row := range p.rows {
		for side, name := range p.sides {
			if v, found := r.Find(row.what, name, row.n); found {
				bars[i] = append(bars[i], bar{side, v})
				most = max(most, v.Median)
			}
		}
		if len(bars[i]) > 0 {
			high += len(bars[i])*barHigh + 10
		}
	}
	if most == 0 {
		return ""
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", wide, high, wide, high, escaped(p.title))
	svg.WriteString("<style>text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 14px } " +
		"@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }</style>\n")
	fmt.Fprintf(&svg, `<text class="title" x="0" y="16">%s</text>`+"\n", escaped(p.title))
	x := 0
	for side, name := range p.sides {
		if !slices.ContainsFunc(bars, func(group []bar) bool { return slices.ContainsFunc(group, func(b bar) bool { return b.side == side }) }) {
			continue
		}
		fmt.Fprintf(&svg, `<rect x="%d" y="30" width="12" height="12" fill="%s"/><text x="%d" y="40">%s</text>`+"\n", x, colours[side], x+18, escaped(name))
		x += 40 + 8*len(name)
	}
	y := headHigh
	for i, row := range p.rows {
		if len(bars[i]) == 0 {
			continue
		}
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", nameWide-10, y+len(bars[i])*barHigh/2+4, escaped(row.name))
		for _, b := range bars[i] {
			long := max(1, b.value.Median/most*(wide-nameWide-valueWide))
			scale, unit := scaled(b.value.Median, b.value.Unit)
			fmt.Fprintf(&svg, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/><text x="%.1f" y="%d">%s %s</text>`+"\n",
				nameWide, y, long, barHigh-2, colours[b.side], nameWide+long+6, y+barHigh-3, number(b.value.Median*scale), unit)
			y += barHigh
		}
		y += 10
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func escaped(text string) string {
	var out strings.Builder
	xml.EscapeText(&out, []byte(text)) // a Builder does not fail
	return out.String()
}
