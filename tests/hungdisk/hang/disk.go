package hang

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Disk is a filesystem whose answers can be held up.
type Disk struct {
	// Path is where it is mounted. Backing is what it shows, which answers
	// always.
	Path, Backing string

	mount *mount
}

// Start mounts an empty disk until the test ends.
func Start(t testing.TB) *Disk {
	t.Helper()
	dir := t.TempDir()
	d := &Disk{Path: filepath.Join(dir, "disk"), Backing: filepath.Join(dir, "backing")}
	for _, path := range []string{d.Path, d.Backing} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.mount = startMount(t, served{Mount: d.Path, Backing: d.Backing})
	t.Cleanup(func() { d.mount.end(t) })
	return d
}

// Hang holds every request up until Answer.
func (d *Disk) Hang(t testing.TB) { t.Helper(); d.mount.set(t, setting{Delay: forever}) }

// HangAfter answers that many requests more, and holds up those that follow.
func (d *Disk) HangAfter(t testing.TB, requests int) {
	t.Helper()
	d.mount.set(t, setting{Delay: forever, After: requests})
}

// Slow answers each request after this time.
func (d *Disk) Slow(t testing.TB, delay time.Duration) {
	t.Helper()
	d.mount.set(t, setting{Delay: delay})
}

// Answer answers all requests at once, also those that have waited.
func (d *Disk) Answer(t testing.TB) { t.Helper(); d.mount.set(t, setting{}) }

// Requests returns how many requests have come since the last setting, and
// counts anew. It is for a disk that answers.
func (d *Disk) Requests(t testing.TB) int { t.Helper(); return d.mount.set(t, setting{}) }
