package plugin

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Trash lists what is in the trash of a disk, in order. It looks again until two looks
// agree: readdir(3) may miss an entry that is marked, and so renamed, meanwhile.
func Trash(t testing.TB, base string) []string {
	t.Helper()
	for names := trashNames(t, base); ; {
		again := trashNames(t, base)
		if slices.Equal(names, again) {
			return names
		}
		names = again
	}
}

func trashNames(t testing.TB, base string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(base, "trash"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// WaitTrash waits until so many deleted volumes are left in the trash of a disk. They
// are removed in the background.
func WaitTrash(t testing.TB, base string, volumes int, patience time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := Trash(t, base)
		if len(left) == volumes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d volumes are left in the trash of %s, want %d: %q", len(left), base, volumes, left)
		}
	}
}
