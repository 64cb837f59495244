package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRemountWhileCreating takes a disk away and brings it back, again and again,
// while volumes are made and deleted. At the end disk and memory agree, and
// nothing was written below the mount point.
func TestRemountWhileCreating(t *testing.T) {
	plugin.RequireRoot(t)
	const remounts, workers = 10, 4
	base, image := t.TempDir(), disk.Image(t, "ext4", 64*mebibyte)
	disk.MountImage(t, image, base)
	s := openStore(t, onePool(base))
	stop := make(chan struct{})
	kept := make([]map[string]bool, workers) // IDs, by worker
	var wg sync.WaitGroup
	for w := range workers {
		kept[w] = map[string]bool{}
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				v, err := s.Create(t.Context(), request(fmt.Sprintf("pvc-%d-%d", w, i%20)))
				if err != nil {
					if !errors.Is(err, errdefs.ErrNoSpace) && !errors.Is(err, errdefs.ErrUnavailable) {
						t.Error(err)
					}
					continue
				}
				kept[w][v.ID] = true
				if i%3 == 0 && s.Delete(t.Context(), v.ID, anyUse) == nil {
					delete(kept[w], v.ID)
				}
			}
		})
	}
	for range remounts {
		time.Sleep(50 * time.Millisecond)
		for unix.Unmount(base, 0) != nil { // a call holds it open
			time.Sleep(time.Millisecond)
		}
		s.refresh(t.Context())
		disk.MountImage(t, image, base)
		s.refresh(t.Context())
	}
	close(stop)
	wg.Wait()

	all := map[string]bool{}
	for _, ids := range kept {
		for id := range ids {
			all[id] = true
			if _, err := s.Volume(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	}
	listed := s.Volumes()
	for _, v := range listed {
		if !all[v.ID] {
			t.Errorf("%s is listed and was not made", v.ID)
		}
	}
	onDisk, err := os.ReadDir(filepath.Join(base, volumesDir))
	if err != nil || len(listed) != len(all) || len(onDisk) != len(all) {
		t.Errorf("%d volumes were made, %d are listed, %d on disk (%v)", len(all), len(listed), len(onDisk), err)
	}
	t.Logf("%d remounts, %d volumes", remounts, len(all))
	mustUnmount(t, base)
	wantNames(t, base)
}
