package reuse

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	here  = types.UID("11111111-2222-3333-4444-555555555555")
	other = types.UID("99999999-2222-3333-4444-555555555555")
)

func TestTwinNames(t *testing.T) {
	for _, name := range []twinName{
		{here, hash("data"), 0},
		{here, hash("data"), 1},
		{other, hash(strings.Repeat("long.", 50)), 123456789},
	} {
		text := name.String()
		if got, ok := parseTwin(text); !ok || got != name || len(text) > 253 {
			t.Errorf("%+v is written %s (%d) and read %+v, %t", name, text, len(text), got, ok)
		}
	}
	for _, name := range []string{
		"", "pvc-" + string(here), "reuse-mine", "reuse-" + string(here),
		"reuse-" + string(here) + "-0123456789abcdef-0",
		"reuse-" + string(here) + "-0123456789abcdef-01",
		"reuse-" + string(here) + "-0123456789abcde",
		"x-reuse-" + string(here) + "-0123456789abcdef",
	} {
		if got, ok := parseTwin(name); ok {
			t.Errorf("%q is read as %+v", name, got)
		}
	}
}

func TestReplaces(t *testing.T) {
	made := newVolume("pvc-1", "dir")
	first, second := newTwinOf("dir", here, 0), newTwinOf("dir", here, 1)
	forged := newTwinOf("dir", here, 5)
	forged.Annotations = nil
	for _, test := range []struct {
		name     string
		new, old *corev1.PersistentVolume
		want     bool
	}{
		{"a twin replaces what was made", first, made, true},
		{"and a later one an earlier one", second, first, true},
		{"not the other way round", first, second, false},
		{"nor itself", first, first, false},
		{"nor one of another directory", second, newTwinOf("other", here, 0), false},
		{"nor one for another namespace", newTwinOf("dir", other, 1), first, false},
		{"what was made replaces nothing", made, first, false},
		{"nor does what only looks like a twin", forged, made, false},
	} {
		if got := replaces(test.new, test.old); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
