package cli

import (
	"fmt"
	"strings"
)

const barCells = 10

// usedBar is how full a volume is: "[####......]  41%".
func usedBar(used, size int64) string {
	return fmt.Sprintf("%s %d%%", drawBar(barCells, size, used, 0), percent(used, size))
}

func percent(part, of int64) int64 {
	if of <= 0 {
		return 0
	}
	return int64(float64(part) / float64(of) * 100)
}

// drawBar draws what is used as #, what is promised beyond that as =, and what is free
// as a dot. What there is at all has a cell.
func drawBar(cells int, size, used, promised int64) string {
	part := func(n int64) int {
		if n <= 0 || size <= 0 {
			return 0
		}
		return min(cells, max(1, int(float64(n)/float64(size)*float64(cells)+0.5)))
	}
	full := part(used)
	taken := min(part(promised), cells-full)
	return "[" + strings.Repeat("#", full) + strings.Repeat("=", taken) + strings.Repeat(".", cells-full-taken) + "]"
}

// tone is how a line is coloured.
type tone string

const (
	noTone   tone = ""
	goodTone tone = "\x1b[32m"
	warmTone tone = "\x1b[33m"
	badTone  tone = "\x1b[31m"
	toneEnd       = "\x1b[0m"
)

// toneOf is that of something that fills up.
func toneOf(fullness float64) tone {
	switch {
	case fullness >= 0.95:
		return badTone
	case fullness >= 0.8:
		return warmTone
	}
	return noTone
}
