package why

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/disk"
)

// TestWordsAreSpoken holds each phrase to the packages that say it.
func TestWordsAreSpoken(t *testing.T) {
	spoken := sourceOf(t, "disk", "store", "errdefs", "mounter")
	for _, w := range words {
		if !strings.Contains(spoken, w.phrase) {
			t.Errorf("hostdir does not say %q any more", w.phrase)
		}
		if got := spokenOf("rpc error: " + w.phrase + "; try again"); got != w.cause && !strings.Contains(w.phrase, "has room") {
			t.Errorf("%q is taken for %s, it is of %s: a phrase before it is part of it", w.phrase, got, w.cause)
		}
	}
	for _, w := range storeWords {
		if !strings.Contains(spoken, w.phrase) {
			t.Errorf("hostdir does not say %q any more", w.phrase)
		}
	}
	for _, phrase := range []string{inUseWords, otherNodeWords, "is healthy, but has no", "its data was left behind", "its data directory"} {
		if !strings.Contains(spoken, phrase) {
			t.Errorf("hostdir does not say %q any more", phrase)
		}
	}
}

// TestControllerWordsAreSpoken holds what is read in events to the loop that writes them.
func TestControllerWordsAreSpoken(t *testing.T) {
	spoken := sourceOf(t, "controller/restore")
	for _, w := range controllerWords {
		if !strings.Contains(spoken, w.phrase) {
			t.Errorf("hostdir-controller does not say %q any more", w.phrase)
		}
	}
	for _, reason := range append(restoreReasons[:5:5], "RestoreElsewhere") {
		if !strings.Contains(spoken, `"`+reason+`"`) {
			t.Errorf("hostdir-controller has no reason %s any more", reason)
		}
	}
	if !strings.Contains(spoken, `"`+managedBy+`"`) {
		t.Errorf("hostdir-controller looks for another label than %s", managedBy)
	}
}

// sourceOf is the source of packages.
func sourceOf(t *testing.T, packages ...string) string {
	t.Helper()
	var source strings.Builder
	for _, name := range packages {
		files, err := filepath.Glob(filepath.Join("../..", name, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no source of %s: %v", name, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	return source.String()
}

// TestReasonsHaveCauses: each of pkg/disk has one.
func TestReasonsHaveCauses(t *testing.T) {
	for _, r := range []disk.Reason{disk.Absent, disk.Exchanged, disk.Copied, disk.Owned, disk.Faulty, disk.Pending, disk.Unresponsive} {
		if reasons[string(r)] == "" {
			t.Errorf("disks that are %s have no cause", r)
		}
	}
}
