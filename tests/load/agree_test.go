package load

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// record is what the tests need of volume.json.
type record struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	CapacityBytes int64  `json:"capacityBytes"`
	Quota         *struct {
		ID uint64 `json:"id"`
	} `json:"quota"`
}

// wantAgreement checks that the disk, the records, the list of volumes and the
// mounts are what the answers told.
func (s *storm) wantAgreement(t *testing.T, limited bool) {
	t.Helper()
	if err := s.err(); err != nil {
		t.Fatal(err)
	}
	told, mounts := map[string]int64{}, []string{}
	for _, v := range s.volumes {
		if v.id != "" {
			told[v.id] = v.capacity
		}
		for target := range v.published {
			mounts = append(mounts, target)
		}
	}
	slices.Sort(mounts)

	onDisk, owners := map[string]int64{}, map[uint64]string{}
	for _, name := range names(t, filepath.Join(s.Base, "volumes")) {
		data, err := os.ReadFile(filepath.Join(s.Base, "volumes", name, "volume.json"))
		if err != nil {
			t.Fatal(err)
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		if r.Name != name || !strings.HasSuffix(r.ID, "."+name) {
			t.Errorf("directory %s holds the record of volume %s, %s", name, r.Name, r.ID)
		}
		onDisk[r.ID] = r.CapacityBytes
		if (r.Quota != nil) != limited {
			t.Errorf("volume %s has the quota %v", name, r.Quota)
		}
		if r.Quota != nil {
			if other, taken := owners[r.Quota.ID]; taken {
				t.Errorf("volumes %s and %s share the quota ID %d", other, name, r.Quota.ID)
			}
			owners[r.Quota.ID] = name
		}
	}
	if diff := cmp.Diff(told, onDisk); diff != "" {
		t.Errorf("the disk differs from what was answered (-answers +disk):\n%s", diff)
	}

	resp, err := s.clients[0].ListVolumes(s.ctx, &csi.ListVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int64{}
	for _, e := range resp.GetEntries() {
		listed[e.GetVolume().GetVolumeId()] = e.GetVolume().GetCapacityBytes()
	}
	if diff := cmp.Diff(told, listed); diff != "" {
		t.Errorf("ListVolumes differs from what was answered (-answers +list):\n%s", diff)
	}

	mounted := disk.MountsBelow(t, s.KubeletDir)
	slices.Sort(mounted)
	if diff := cmp.Diff(mounts, mounted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the mounts differ from what was answered (-answers +mounts):\n%s", diff)
	}
	var targets []string
	for _, name := range names(t, s.KubeletDir) {
		targets = append(targets, filepath.Join(s.KubeletDir, name))
	}
	if diff := cmp.Diff(mounts, targets, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the target directories differ from the mounts (-mounts +directories):\n%s", diff)
	}
}

// deleteAll takes everything back, all at once, and waits until nothing is left of
// it in the trash. btrfs takes its time with removed subvolumes; each deletion
// makes hostdir look again.
func (s *storm) deleteAll(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for _, v := range s.volumes {
		wg.Go(func() {
			for target := range v.published {
				s.twice("unpublish", codes.OK, func(c plugin.Client) error { return c.Unpublish(s.ctx, v.id, target) })
			}
			clear(v.published)
			if v.id != "" {
				s.twice("delete", codes.OK, func(c plugin.Client) error { return c.Delete(s.ctx, v.id) })
				v.id = ""
			}
		})
	}
	wg.Wait()
	s.wantAgreement(t, false)
	trash := filepath.Join(s.Base, "trash")
	waiting := names(t, trash)
	for range 300 {
		left := names(t, trash)
		waiting = slices.DeleteFunc(waiting, func(name string) bool { return !slices.Contains(left, name) })
		if len(waiting) == 0 {
			return
		}
		time.Sleep(time.Second)
		again := &volume{name: "pvc-again"}
		s.create(again)
		s.twice("delete", codes.OK, func(c plugin.Client) error { return c.Delete(s.ctx, again.id) })
	}
	t.Fatalf("%d volumes are still in the trash", len(waiting))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
