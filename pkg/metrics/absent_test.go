package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestDiskOfGlobIsGone takes away a disk that a glob has found: an alert on disks
// that are not up sees it.
func TestDiskOfGlobIsGone(t *testing.T) {
	plugin.RequireRoot(t)
	parent := t.TempDir()
	for _, name := range []string{"nvme0", "nvme1"} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "pools: [{name: default, paths: [%q]}]", filepath.Join(parent, "nvme*")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, config)
	m := &Metrics{Store: s, Calls: &Calls{}}
	up := func(name string) float64 {
		t.Helper()
		return value(t, scrape(t, m), "hostdir_disk_up", "path", filepath.Join(parent, name))
	}
	if up("nvme0") != 1 || up("nvme1") != 1 {
		t.Error("a new disk is not up")
	}
	if err := os.Rename(filepath.Join(parent, "nvme0"), filepath.Join(parent, "away")); err != nil {
		t.Fatal(err)
	}
	s.Look(t.Context())
	if up("nvme0") != 0 || up("nvme1") != 1 {
		t.Error("a disk that is gone is up, or the other is not")
	}
	if got := value(t, scrape(t, m), "hostdir_disk_unusable", "path", filepath.Join(parent, "nvme0"), "reason", "absent"); got != 1 {
		t.Errorf("the reason is %v", got)
	}
}
