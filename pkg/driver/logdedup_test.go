package driver

import (
	"fmt"
	"testing"
	"time"
)

func TestLogDedup(t *testing.T) {
	var d logDedup
	now := time.Now()
	for _, test := range []struct {
		line  string
		after time.Duration
		want  bool
	}{
		{"a", 0, false},
		{"a", dedupTime - 1, true},
		{"b", dedupTime - 1, false},
		{"a", dedupTime, false},
		{"a", dedupTime + 1, true},
	} {
		if got := d.seen(test.line, now.Add(test.after)); got != test.want {
			t.Errorf("%s after %s: %t", test.line, test.after, got)
		}
	}
	for i := range 3 * maxLines {
		d.seen(fmt.Sprint(i), now)
	}
	if len(d.lines) > maxLines {
		t.Errorf("%d lines are remembered", len(d.lines))
	}
}
