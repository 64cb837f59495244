package config

import "testing"

func TestFormatSize(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		want  string
	}{
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1 << 10, "1Ki"},
		{1536 << 20, "1536Mi"},
		{10 << 30, "10Gi"},
		{10<<30 + 1<<20, "10241Mi"},
		{1 << 60, "1Ei"},
		{99_999, "99999"},
		// No claim asks for these.
		{100_000, "97.6Ki"},
		{831_794, "812Ki"},
		{1<<20 + 1, "1Mi"},
		{1<<20 - 1, "1023Ki"},
		{10<<30 - 1, "9.99Gi"},
		{11_703_000_000, "10.8Gi"},
		{97_818_000_000, "91Gi"},
		{97_918_000_000, "91.1Gi"},
		{1<<40 - 1, "1023Gi"},
		{1<<63 - 1, "7.99Ei"},
		{-1, "-1"},
	} {
		if got := FormatSize(test.bytes); got != test.want {
			t.Errorf("%d bytes: %s, want %s", test.bytes, got, test.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64 // -1: refused
	}{
		{"0", 0},
		{"1073741824", 1 << 30},
		{"10Gi", 10 << 30},
		{"1.5Gi", 3 << 29},
		{"0.1Ki", 103}, // rounded up
		{"10G", 10_000_000_000},
		{"500k", 500_000},
		{"1.25T", 1_250_000_000_000},
		{"7Ei", 7 << 60},
		{"9.2E", 9_200_000_000_000_000_000},
		{"8Ei", -1},
		{"10E", -1},
		{"500m", -1},
		{"10K", -1},
		{"10gi", -1},
		{"10 Gi", -1},
		{"1e9", -1},
		{"1,5Gi", -1},
		{".5Gi", -1},
		{"-1", -1},
		{"+1", -1},
		{"Gi", -1},
		{"", -1},
	} {
		got, err := ParseSize(test.text)
		if err != nil {
			got = -1
		}
		if got != test.want {
			t.Errorf("%q: %d (%v), want %d", test.text, got, err, test.want)
		}
	}
}
