package monitoring

import (
	"fmt"
	"math"
	"strings"
)

// written is a value in a unit of Grafana's.
func written(value float64, unit string) string {
	switch unit {
	case "bytes":
		return scaled(value, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB"})
	case "short":
		return scaled(value, 1000, []string{"", " K", " Mil", " Bil"})
	case "percentunit":
		return number(value*100) + " %"
	case "reqps":
		return number(value) + " req/s"
	case "s":
		switch {
		case value != 0 && math.Abs(value) < 0.001:
			return number(value*1e6) + " µs"
		case value != 0 && math.Abs(value) < 1:
			return number(value*1e3) + " ms"
		}
		return number(value) + " s"
	}
	return number(value)
}

func scaled(value, base float64, units []string) string {
	i := 0
	for ; math.Abs(value) >= base && i < len(units)-1; i++ {
		value /= base
	}
	return number(value) + units[i]
}

// number has three digits, or as many as are before the point.
func number(value float64) string {
	digits := 2
	for limit := 10.0; math.Abs(value) >= limit && digits > 0; limit *= 10 {
		digits--
	}
	text := fmt.Sprintf("%.*f", digits, value)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// ticks are round values from low to high, about so many. Bytes are round in powers of two.
func ticks(low, high float64, unit string, about int) []float64 {
	if high <= low {
		high = low + 1
	}
	base, steps := 10.0, []float64{1, 2, 5, 10}
	if unit == "bytes" {
		base, steps = 1024, []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
	}
	rough := (high - low) / float64(about)
	power := math.Pow(base, math.Floor(math.Log(rough)/math.Log(base)))
	step := power * base
	for _, s := range steps {
		if power*s >= rough {
			step = power * s
			break
		}
	}
	var all []float64
	for at := math.Floor(low/step) * step; ; at += step {
		all = append(all, at)
		if at >= high-step*1e-9 {
			return all
		}
	}
}
