package metrics

import (
	"os"
	"testing"

	"github.com/hostdir/hostdir/pkg/store"
)

// TestOtherNodesMetric takes up the disks of one node on another.
func TestOtherNodesMetric(t *testing.T) {
	config, limited, advisory := layOut(t)
	original := start(t, config)
	v := create(t, original, "limited", "a")
	create(t, original, "limited", "b")
	clone, err := store.Open(t.Context(), "clone", config, "")
	if err != nil {
		t.Fatal(err)
	}
	clone.Look(t.Context())
	create(t, clone, "advisory", "c")
	for s, want := range map[*store.Store]float64{original: 0, clone: 2} {
		families := scrape(t, &Metrics{Store: s, Calls: &Calls{}})
		if got := value(t, families, "hostdir_disk_other_node_volumes", "pool", "limited", "path", limited); got != want {
			t.Errorf("%v volumes were made on another node, want %v", got, want)
		}
		if got := value(t, families, "hostdir_disk_other_node_volumes", "pool", "advisory", "path", advisory); got != 0 {
			t.Errorf("%v volumes of the other disk were made on another node, want none", got)
		}
	}
	if err := clone.Delete(t.Context(), v.ID, func(*os.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	families := scrape(t, &Metrics{Store: clone, Calls: &Calls{}})
	if got := value(t, families, "hostdir_disk_other_node_volumes", "pool", "limited", "path", limited); got != 1 {
		t.Errorf("%v volumes were made on another node once one is deleted, want 1", got)
	}
}
