package metrics

import "testing"

// TestDiskInfo shows that each disk in use tells its UUID, and one that is not none.
func TestDiskInfo(t *testing.T) {
	s, limited, advisory := open(t)
	m := &Metrics{Store: s, Calls: &Calls{}}
	families := scrape(t, m)
	for _, d := range s.Status() {
		if d.UUID == "" {
			t.Fatalf("disk %s is not in use", d.Path)
		}
		if got := value(t, families, "hostdir_disk_info", "path", d.Path, "uuid", d.UUID); got != 1 {
			t.Errorf("disk %s: %v", d.Path, got)
		}
	}
	if n := len(families["hostdir_disk_info"].GetMetric()); n != 2 {
		t.Errorf("%d disks tell their UUID, want those at %s and %s", n, limited, advisory)
	}
}
