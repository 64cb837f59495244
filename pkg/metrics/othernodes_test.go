package metrics

import (
	"os"
	"testing"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/store"
)

// TestOtherNodesMetric takes up the disks of one node on another.
func TestOtherNodesMetric(t *testing.T) {
	config, limited, advisory := layOut(t)
	original := start(t, config)
	v := create(t, original, "limited", "a")
	create(t, original, "limited", "b")
	want := func(s *store.Store, path string, want float64) {
		t.Helper()
		families := scrape(t, &Metrics{Store: s, Calls: &Calls{}})
		if got := value(t, families, "hostdir_disk_other_node_volumes", "path", path); got != want {
			t.Errorf("%v volumes on %s were made on another node, want %v", got, path, want)
		}
	}
	want(original, limited, 0)
	original.Release()

	clone, err := store.Open(t.Context(), "clone", config, "")
	if err != nil {
		t.Fatal(err)
	}
	clone.Look(t.Context())
	for _, path := range []string{limited, advisory} {
		plan, err := clone.Plan(t.Context(), pkgdisk.Accept, path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := clone.Act(t.Context(), pkgdisk.Accept, path, plan.Token); err != nil {
			t.Fatal(err)
		}
	}
	create(t, clone, "advisory", "c")
	want(clone, limited, 2)
	want(clone, advisory, 0)
	if err := clone.Delete(t.Context(), v.ID, func(*os.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want(clone, limited, 1)
}
