package store

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestChartsReserve has claims take and fill all that a disk gives with the reserve
// of the chart's pool, which is on kubelet's disk: kubelet must not evict pods for
// that. It does so when less than 15% are available (imagefs.available; 10% by
// nodefs.available), of the filesystem with what ext4 keeps for root.
func TestChartsReserve(t *testing.T) {
	plugin.RequireRoot(t)
	t.Parallel()
	const evicts = 0.15
	text, err := os.ReadFile("../../deploy/helm/hostdir/values.yaml")
	check(t, err)
	var values struct {
		Pools []struct{ Reserve string }
	}
	check(t, yaml.Unmarshal(text, &values))
	if len(values.Pools) != 1 || values.Pools[0].Reserve == "" {
		t.Fatalf("the chart's pools are %+v, want one with a reserve", values.Pools)
	}
	for filesystem, size := range map[string]int64{"ext4": 512 * mebibyte, "xfs": 512 * mebibyte, "btrfs": 1 << 30} {
		t.Run(filesystem, func(t *testing.T) {
			t.Parallel()
			mounted := disk.Mount(t, filesystem, size)
			base := filepath.Join(mounted, "hostdir")
			mkdirAll(t, base)
			check(t, allocate(filepath.Join(mounted, "images"), size/4))
			disk.Sync(t, mounted)
			available := func() float64 {
				disk.Sync(t, mounted)
				var s unix.Statfs_t
				check(t, unix.Statfs(mounted, &s))
				return float64(s.Bavail) / float64(s.Blocks)
			}
			for reserve, keeps := range map[string]bool{values.Pools[0].Reserve: true, "0%": false} {
				s := keeping(t, base, "reserve: "+reserve)
				s.sampleAll()
				req := request("pvc-all")
				req.RequiredBytes = s.Capacity(defaultClass).AvailableBytes
				v := mustCreate(t, s, req)
				if free := available(); free < evicts {
					t.Fatalf("%.3f are available before anything is written", free)
				}
				file, written := filepath.Join(v.Path, "file"), req.RequiredBytes
				if !keeps {
					written -= written / 10 // XFS does not give its last blocks
				}
				check(t, allocate(file, written))
				free := available()
				t.Logf("reserve %s: %d MiB were given, %.3f are available", reserve, req.RequiredBytes>>20, free)
				if keeps != (free >= evicts) {
					t.Errorf("reserve %s: %.3f are available", reserve, free)
				}
				check(t, os.Remove(file))
				mustDelete(t, s, v.ID)
				s.purgeAll(t.Context())
				disk.Sync(t, mounted)
			}
		})
	}
}
