package monitoring

import (
	"slices"
	"testing"
)

func TestWritten(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "bytes", "0 B"}, {1536 << 20, "bytes", "1.5 GiB"}, {-2048, "bytes", "-2 KiB"},
		{0.8731, "percentunit", "87.3 %"}, {1, "percentunit", "100 %"},
		{0.25, "reqps", "0.25 req/s"}, {0.0342, "s", "34.2 ms"}, {0.00012, "s", "120 µs"}, {0, "s", "0 s"}, {2, "s", "2 s"},
		{12345, "short", "12.3 K"}, {1234, "none", "1234"},
	} {
		if got := written(c.value, c.unit); got != c.want {
			t.Errorf("%v in %s is written %q, want %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		unit      string
		want      []float64
	}{
		{0, 0, "none", []float64{0, 0.5, 1}},
		{0, 9, "none", []float64{0, 5, 10}},
		{-3, 4, "none", []float64{-4, -2, 0, 2, 4}},
		{0, 3 << 30, "bytes", []float64{0, 1 << 30, 2 << 30, 3 << 30}},
	} {
		if got := ticks(c.low, c.high, c.unit, 4); !slices.Equal(got, c.want) {
			t.Errorf("from %g to %g: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
