package metrics

import (
	"errors"
	"strings"
	"testing"
)

func TestSample(t *testing.T) {
	for _, test := range []struct {
		name   string
		labels labels
		value  float64
		want   string
	}{
		{"without labels", nil, 1, "m 1\n"},
		{"with labels", labels{{"a", "x"}, {"b", ""}}, 0, "m{a=\"x\",b=\"\"} 0\n"},
		{"a size", nil, 1 << 50, "m 1125899906842624\n"},
		{"a moment", nil, 1700000000.125, "m 1.700000000125e+09\n"},
		{"strange text", labels{{"a", "q\" b\\ n\n é"}}, 0.5, "m{a=\"q\\\" b\\\\ n\\n é\"} 0.5\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			e := newExposition(&out)
			e.metric = "m"
			e.sample(test.labels, test.value)
			if err := e.flush(); err != nil || out.String() != test.want {
				t.Errorf("wrote %q (%v), want %q", out.String(), err, test.want)
			}
		})
	}
}

var errGone = errors.New("the reader is gone")

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestReaderGone(t *testing.T) {
	e := newExposition(gone{})
	e.family("m", gauge, strings.Repeat("long ", 100_000))
	e.sample(nil, 1)
	if err := e.flush(); !errors.Is(err, errGone) {
		t.Errorf("error %v, want %v", err, errGone)
	}
}
