package monitoring

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	columnWidth  = 44 // of 24 columns
	rowHeight    = 34
	gap          = 8
	headHeight   = 46
	padding      = 12
	titleHeight  = 32
	legendHeight = 17

	text     = "#ccccdc"
	faint    = "#8e8ea0"
	gridLine = "#2c2e36"
)

// named are Grafana's colours of thresholds.
var named = map[string]string{"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}

// palette are the colours of series, one after the other.
var palette = []string{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"}

// Draw returns the dashboard with what was read, as SVG. The same reading gives the same
// bytes.
func (b Board) Draw(r Reading) string {
	c := &canvas{}
	height := 0.0
	for _, p := range b.Panels {
		height = max(height, p.GridPos.Y+p.GridPos.H)
	}
	wide, high := 24*columnWidth+gap, headHeight+height*rowHeight+gap
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%g" viewBox="0 0 %d %g" role="img" aria-label="%s" font-family="Inter, 'Helvetica Neue', Arial, sans-serif" font-size="12" fill="%s">`, wide, high, wide, high, escaped(b.Title), text)
	c.add(`<rect width="%d" height="%g" rx="6" fill="#111217"/>`, wide, high)
	c.text(2*gap, 30, b.Title, `font-size="18" font-weight="500"`)
	c.text(float64(wide)-2*gap, 29, r.From.UTC().Format("2006-01-02 15:04")+" to "+r.To.UTC().Format("15:04 MST"), end, fill(faint))
	for i, p := range b.Panels {
		c.panel(p, r, r.Panels[i])
	}
	c.add("</svg>")
	return c.String()
}

// A canvas takes elements of SVG.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

const (
	end    = `text-anchor="end"`
	middle = `text-anchor="middle"`
)

func fill(colour string) string { return `fill="` + colour + `"` }

func (c *canvas) text(x, y float64, words string, attributes ...string) {
	c.add(`<text x="%.1f" y="%.1f" %s>%s</text>`, x, y, strings.Join(attributes, " "), escaped(words))
}

func escaped(words string) string {
	var out strings.Builder
	xml.EscapeText(&out, []byte(words)) // a Builder does not fail
	return out.String()
}

// shortened is what fits into a width, of a font of 12 pixels.
func shortened(words string, width float64) string {
	letters := []rune(words)
	if fits := int(width / 6.4); len(letters) > fits && fits > 1 {
		return string(letters[:fits-1]) + "…"
	}
	return words
}

// A box is where on the canvas something goes.
type box struct{ x, y, w, h float64 }

func (c *canvas) panel(p Panel, r Reading, lines []Line) {
	at := box{gap + p.GridPos.X*columnWidth, headHeight + p.GridPos.Y*rowHeight, p.GridPos.W*columnWidth - gap, p.GridPos.H*rowHeight - gap}
	c.add(`<rect x="%g" y="%g" width="%g" height="%g" rx="3" fill="#181b1f" stroke="#23252b"/>`, at.x, at.y, at.w, at.h)
	c.text(at.x+padding, at.y+21, shortened(p.Title, at.w-2*padding), `font-size="13" font-weight="500"`)
	inner := box{at.x + padding, at.y + titleHeight, at.w - 2*padding, at.h - titleHeight - padding}
	switch {
	case len(lines) == 0:
		c.text(at.x+at.w/2, at.y+at.h/2+8, "No data", middle, fill(faint), `font-size="14"`)
	case p.Type == "stat":
		value := lines[0].last()
		c.text(at.x+at.w/2, at.y+at.h/2+24, written(value, p.unit()), middle, fill(p.colour(value)), `font-size="34" font-weight="500"`)
	case p.Type == "bargauge":
		c.bars(p, inner, lines)
	case p.Type == "timeseries":
		c.graph(p, inner, r, lines)
	case p.Type == "table":
		c.table(p, inner, lines)
	default:
		panic("no panel of the type " + p.Type + " can be drawn")
	}
}

func (p Panel) unit() string { return p.FieldConfig.Defaults.Unit }

// colour is that of the highest threshold that the value reaches.
func (p Panel) colour(value float64) string {
	colour := "green"
	for _, s := range p.FieldConfig.Defaults.Thresholds.Steps {
		if s.Value == nil || value >= *s.Value {
			colour = s.Color
		}
	}
	return named[colour]
}

func (s Series) last() float64 { return s.Points[len(s.Points)-1].Value }

// ordered are lines with the largest last value first.
func ordered(lines []Line) []Line {
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.last(), a.last()), cmp.Compare(a.Legend, b.Legend))
	})
	return lines
}

// bars draws a row for each line: name, bar, value.
func (c *canvas) bars(p Panel, in box, lines []Line) {
	const labelWidth, valueWidth = 176, 76
	lines = ordered(lines)
	most := 0.0
	for _, l := range lines {
		most = max(most, l.last())
	}
	if limit := p.FieldConfig.Defaults.Max; limit != nil {
		most = *limit
	}
	if most <= 0 {
		most = 1
	}
	height := min(in.h/float64(len(lines)), 34)
	width := in.w - labelWidth - valueWidth
	for i, l := range lines {
		y := in.y + float64(i)*height
		c.text(in.x, y+height/2+4, shortened(l.Legend, labelWidth))
		c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="#22252b"/>`, in.x+labelWidth, y+height*0.14, width, height*0.72)
		c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>`, in.x+labelWidth, y+height*0.14, width*min(max(l.last(), 0)/most, 1), height*0.72, p.colour(l.last()))
		c.text(in.x+in.w, y+height/2+4, written(l.last(), p.unit()), end, fill(p.colour(l.last())), `font-weight="500"`)
	}
}

// graph draws lines over time, and below them what they are.
func (c *canvas) graph(p Panel, in box, r Reading, lines []Line) {
	const axisWidth = 66
	lines = ordered(lines)
	low, high := 0.0, 0.0
	for _, l := range lines {
		for _, point := range l.Points {
			low, high = min(low, point.Value), max(high, point.Value)
		}
	}
	names := c.legend(box{in.x, 0, in.w, 0}, lines, false)
	plot := box{in.x + axisWidth, in.y + 4, in.w - axisWidth, in.h - 26 - float64(names)*legendHeight}
	marks := ticks(low, high, p.unit(), 4)
	low, high = marks[0], marks[len(marks)-1]
	from, to := float64(r.From.UnixMilli())/1000, float64(r.To.UnixMilli())/1000
	x := func(t float64) float64 { return plot.x + plot.w*(t-from)/(to-from) }
	y := func(v float64) float64 { return plot.y + plot.h*(1-(v-low)/(high-low)) }
	for _, mark := range marks {
		c.add(`<path d="M%.1f %.1fH%.1f" stroke="%s"/>`, plot.x, y(mark), plot.x+plot.w, gridLine)
		c.text(plot.x-6, y(mark)+4, written(mark, p.unit()), end, fill(faint), `font-size="11"`)
	}
	every := time.Minute
	for _, d := range []time.Duration{1, 2, 5, 10, 30, 60, 120} {
		if every = d * time.Minute; r.To.Sub(r.From) <= 8*every {
			break
		}
	}
	for t := r.From.Truncate(every).Add(every); t.Before(r.To); t = t.Add(every) {
		at := x(float64(t.Unix()))
		c.add(`<path d="M%.1f %.1fV%.1f" stroke="%s"/>`, at, plot.y, plot.y+plot.h, gridLine)
		if at < plot.x+plot.w-14 {
			c.text(at, plot.y+plot.h+16, t.UTC().Format("15:04"), middle, fill(faint), `font-size="11"`)
		}
	}
	for i, l := range slices.Backward(lines) { // the first on top
		var path strings.Builder
		before := 0.0
		for _, point := range l.Points {
			if path.Len() == 0 || point.Time-before > 2*l.step() { // a gap; a point alone is a dot
				fmt.Fprintf(&path, "M%.1f %.1fh0", x(point.Time), y(point.Value))
			} else {
				fmt.Fprintf(&path, "L%.1f %.1f", x(point.Time), y(point.Value))
			}
			before = point.Time
		}
		c.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round"/>`, &path, palette[i%len(palette)])
	}
	c.legend(box{in.x, plot.y + plot.h + 36, in.w, 0}, lines, true)
}

// step is the least time between two points.
func (s Series) step() float64 {
	least := 0.0
	for i := 1; i < len(s.Points); i++ {
		if d := s.Points[i].Time - s.Points[i-1].Time; least == 0 || d < least {
			least = d
		}
	}
	return least
}

// legend says which line is which, as far as there is room, and returns how many rows that
// takes.
func (c *canvas) legend(in box, lines []Line, drawn bool) int {
	const most, more = 3, 90 // rows, and what is kept of the last one
	x, rows := in.x, 1
	for i, l := range lines {
		width := float64(len([]rune(l.Legend)))*6.1 + 34
		left, right := len(lines)-i, in.x+in.w
		if rows == most && x > in.x && (x+width > right || left > 1 && x+width > right-more) {
			if drawn {
				c.text(x, in.y+(most-1)*legendHeight, fmt.Sprintf("and %d more", left), fill(faint), `font-size="11"`)
			}
			return rows
		}
		if x > in.x && x+width > right {
			x, rows = in.x, rows+1
		}
		y := in.y + float64(rows-1)*legendHeight
		if drawn {
			c.add(`<rect x="%.1f" y="%.1f" width="12" height="3" rx="1" fill="%s"/>`, x, y-5, palette[i%len(palette)])
			c.text(x+17, y, l.Legend, `font-size="11"`)
		}
		x += width
	}
	return rows
}

// table draws the labels that the panel does not leave out.
func (c *canvas) table(p Panel, in box, lines []Line) {
	var columns []string
	for _, l := range lines {
		for label := range l.Labels {
			hidden := slices.ContainsFunc(p.Transformations, func(t Transformation) bool { return t.Options.ExcludeByName[label] })
			if !hidden && !slices.Contains(columns, label) {
				columns = append(columns, label)
			}
		}
	}
	slices.Sort(columns)
	width := in.w / float64(max(len(columns), 1))
	for i, column := range columns {
		x := in.x + float64(i)*width
		c.text(x, in.y+14, column, fill("#6e9fff"), `font-weight="500"`)
		for j, l := range lines {
			c.text(x, in.y+float64(j+1)*24+16, shortened(l.Labels[column], width-8))
		}
	}
	c.add(`<path d="M%.1f %.1fH%.1f" stroke="%s"/>`, in.x, in.y+22, in.x+in.w, gridLine)
}
