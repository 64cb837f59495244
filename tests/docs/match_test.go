package docs

import (
	"strings"
	"testing"
)

const (
	one   = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
	other = "0e984725-c51c-4bf4-9960-e1c80e27aba0"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, shown, printed string
		ok                   bool
	}{
		{"the same", "a b\nc", "a b\nc", true},
		{"other columns", "NAME   AGE\nweb-0  1Gi", "NAME AGE\n\nweb-0 1Gi  \n", true},
		{"another word", "web-0 Pending", "web-0 Running", false},
		{"another size", "www 1Gi", "www 2Gi", false},
		{"a line less", "a\nb", "a", false},
		{"a line more", "a", "a\nb", false},
		{"nothing", "", "a", false},
		{"ages", "web-0 12s", "web-0 2m5s", true},
		{"an event that came again", "2s Warning x", "1s (x2 over 16s) Warning x", true},
		{"no age", "web-0 12s", "web-0 <none>", false},
		{"nodes", "web-0 worker-1 up", "web-0 pi-4.home up", true},
		{"the rest of a word", "pod hostdir-... is", "pod hostdir-x7k2p is", true},
		{"the rest of a line", "Warning ...", "Warning it is (so)", true},
		{"lines left out", "a\n...\nd", "a\nb\nc\nd", true},
		{"no lines left out", "a\n...\nd", "a\nd", true},
		{"lines left out at the end", "a\n...", "a\nb", true},
		{"what comes after lines left out", "a\n...\nd", "a\nb\nc", false},
		{"signs of patterns", "a.c (x)", "abc (x)", false},
		{"an ID", "pvc-" + one, "pvc-" + other, true},
		{"no ID", "pvc-" + one, "pvc-1", false},
		{"the same ID again", one + "\n" + one, other + "\n" + other, true},
		{"two IDs for one", one + "\n" + one, one + "\n" + other, false},
		{"one ID for two", one + "\n" + other, one + "\n" + one, false},
		{"two IDs after lines left out", "...\n" + one + "\n" + one, "x\n" + other + "\n" + other, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := newMatcher().match(strings.Split(c.shown, "\n"), strings.Split(c.printed, "\n"))
			if (err == nil) != c.ok {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// A page that shows the same ID twice holds two commands to it.
func TestIDsStayOverCommands(t *testing.T) {
	m := newMatcher()
	if err := m.match([]string{one}, []string{other}); err != nil {
		t.Fatal(err)
	}
	if err := m.match([]string{one}, []string{one}); err == nil {
		t.Error("the ID changed, and nobody minds")
	}
	// What did not match leaves no trace.
	if err := m.match([]string{one}, []string{other}); err != nil {
		t.Error(err)
	}
}
