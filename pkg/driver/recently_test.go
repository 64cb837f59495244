package driver

import (
	"fmt"
	"testing"
	"time"
)

func TestRecently(t *testing.T) {
	var r recently
	now := time.Now()
	for _, test := range []struct {
		line  string
		after time.Duration
		want  bool
	}{
		{"a", 0, false},
		{"a", recent - 1, true},
		{"b", recent - 1, false},
		{"a", recent, false},
		{"a", recent + 1, true},
	} {
		if got := r.before(test.line, now.Add(test.after)); got != test.want {
			t.Errorf("%s after %s: %t", test.line, test.after, got)
		}
	}
	for i := range 3 * maxRecents {
		r.before(fmt.Sprint(i), now)
	}
	if len(r.seen) > maxRecents {
		t.Errorf("%d lines are remembered", len(r.seen))
	}
}
