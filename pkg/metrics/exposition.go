package metrics

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// contentType is that of Prometheus' text format, version 0.0.4.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

const (
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

// labels are names and values, in the order in which they are written.
type labels [][2]string

// exposition writes metrics as text. The first error stays; flush returns it.
type exposition struct {
	w      *bufio.Writer
	metric string
	number [32]byte // room for one, so that samples allocate nothing
}

func newExposition(w io.Writer) *exposition {
	return &exposition{w: bufio.NewWriterSize(w, 32<<10)}
}

func (e *exposition) flush() error { return e.w.Flush() }

// family begins a metric. All its samples follow.
func (e *exposition) family(metric, kind, help string) {
	e.metric = metric
	e.write("# HELP ", metric, " ", help, "\n# TYPE ", metric, " ", kind, "\n")
}

// sample writes a value of the metric that was begun last.
func (e *exposition) sample(l labels, value float64) { e.part("", l, value) }

// part writes one value of a metric that has several, which the suffix names.
func (e *exposition) part(suffix string, l labels, value float64) {
	e.write(e.metric, suffix)
	separator := "{"
	for _, label := range l {
		e.write(separator, label[0], `="`)
		escape.WriteString(e.w, label[1])
		e.write(`"`)
		separator = ","
	}
	if len(l) > 0 {
		e.write("}")
	}
	e.write(" ")
	e.w.Write(formatNumber(e.number[:0], value))
	e.write("\n")
}

// escape makes a label's value fit for the format.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (e *exposition) write(parts ...string) {
	for _, part := range parts {
		e.w.WriteString(part)
	}
}

// formatNumber writes sizes in bytes out in full, which people can read.
func formatNumber(to []byte, value float64) []byte {
	if whole := int64(value); float64(whole) == value {
		return strconv.AppendInt(to, whole, 10)
	}
	return strconv.AppendFloat(to, value, 'g', -1, 64)
}
