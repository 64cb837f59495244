package hostile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCanariesTell reads a canary as hostdir must not, and changes one in ways that
// are easily overlooked.
func TestCanariesTell(t *testing.T) {
	plugin.RequireRoot(t)
	dir := filepath.Join(t.TempDir(), "canaries")
	putCanary(t, dir)
	c := keep(t, []string{dir}, nil)
	if _, err := os.ReadDir(dir); err != nil {
		t.Fatal(err)
	}
	c.wantUnharmed(t) // nobody is suspect yet
	c.suspect(os.Getpid())
	for path, says := range map[string]string{filepath.Join(dir, "secret"): "read", filepath.Join(dir, "directory/empty"): "opened"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Read(make([]byte, 1))
		f.Close()
		c.waitTouched(t, path, says)
	}

	file := filepath.Join(dir, "file")
	for name, change := range map[string]func() error{
		"owner": func() error { return os.Chown(file, 0, 0) },
		"mode":  func() error { return os.Chmod(file, 0o600) },
		"time":  func() error { return os.Chtimes(file, time.Time{}, time.Now()) },
		"file":  func() error { return os.Remove(filepath.Join(dir, "fifo")) },
	} {
		before := c.look(t, c.watched)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		changed := 0
		for path, was := range before {
			if c.look(t, c.watched)[path] != was {
				changed++
			}
		}
		if changed == 0 {
			t.Errorf("a change of the %s is not seen", name)
		}
	}
}

func (c *canaries) waitTouched(t *testing.T, path, says string) {
	t.Helper()
	for range 500 {
		c.mu.Lock()
		for _, touched := range c.touched {
			if strings.HasPrefix(touched, path+" ") && strings.Contains(touched, says) {
				c.mu.Unlock()
				return
			}
		}
		c.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("nobody reports that %s was %s", path, says)
}
