package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// openOther opens a store of another hostdir, with a history of its own, on the same
// disk.
func openOther(t *testing.T, node, base string) *Store {
	t.Helper()
	plugin.RequireRoot(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, onePool(base))
	s, err := Open(t.Context(), node, file, filepath.Join(t.TempDir(), "disks.json"))
	check(t, err)
	s.Look(t.Context())
	return s
}

// silence lets the other hostdir on a disk have shown nothing for long enough.
func silence(t *testing.T, s *Store) {
	t.Helper()
	s.ownerPatience = 0
	t.Cleanup(func() { s.ownerPatience = pkgdisk.OwnerPatience })
	s.refresh(t.Context())
	s.ownerPatience = pkgdisk.OwnerPatience
}

// TestTwoOnOneDisk runs two hostdirs on one disk: the second one touches nothing.
func TestTwoOnOneDisk(t *testing.T) {
	for name, node := range map[string]string{"of one name": testNode, "of two nodes": "node-2"} {
		t.Run(name, func(t *testing.T) {
			first, base := newStore(t)
			v := mustCreate(t, first, request("pvc-1"))
			building := filepath.Join(base, volumesDir, newPrefix+"pvc-2")
			mkdirAll(t, building)
			writeFile(t, filepath.Join(base, pkgdisk.MarkerNewFile), "")
			before, retired := filesOf(t, base), only(t, first)

			second := openOther(t, node, base)
			for range 3 {
				wantRefused(t, second, base, pkgdisk.Owned, "hostdir on node "+testNode+" uses it")
				wantUnusable(t, second, v.ID)
				wantOrderRefused(t, second, Accept, base, "hostdir on node "+testNode+" uses it")
				second.refresh(t.Context())
			}
			if after := filesOf(t, base); after != before {
				t.Errorf("the second one has changed %q to %q", before, after)
			}
			mustCreate(t, first, request("pvc-2"))

			// It ends, and says so.
			first.Release()
			second.refresh(t.Context())
			if node != testNode {
				wantRefused(t, second, base, pkgdisk.Owned, "hostdir on node "+testNode+" has used it last")
				obey(t, second, Accept, base)
			}
			wantVolume(t, second, v.ID, base)
			second.refresh(t.Context())
			wantVolume(t, second, v.ID, base)

			// The first one comes back while the second one runs.
			first.refresh(t.Context())
			wantRefused(t, first, base, pkgdisk.Owned, "hostdir on node "+node+" uses it")
			wantUnusable(t, first, v.ID)
			first.show(t.Context(), retired)
			second.refresh(t.Context())
			wantVolume(t, second, v.ID, base)
		})
	}
}

// TestOwnerDied takes over from one that does not run any more.
func TestOwnerDied(t *testing.T) {
	first, base := newStore(t)
	v := mustCreate(t, first, request("pvc-1"))
	t.Run("itself", func(t *testing.T) {
		again := reopen(t, first)
		again.ownerPatience = time.Hour
		wantVolume(t, again, v.ID, base)
	})
	t.Run("of the same node", func(t *testing.T) {
		second := openOther(t, testNode, base)
		wantUnusable(t, second, v.ID)
		silence(t, second)
		wantVolume(t, second, v.ID, base)
	})
	t.Run("of another node", func(t *testing.T) {
		third := openOther(t, "node-3", base)
		wantUnusable(t, third, v.ID)
		silence(t, third)
		wantUnusable(t, third, v.ID)
		third.ownerPatience = 0
		obey(t, third, Accept, base)
		wantVolume(t, third, v.ID, base)
	})
}

// TestSignRemoved goes on where somebody has removed the sign.
func TestSignRemoved(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	check(t, os.Remove(filepath.Join(base, ownerFile)))
	s.refresh(t.Context())
	wantVolume(t, s, v.ID, base)
	s.show(t.Context(), only(t, s))
	wantNames(t, base, claimsDir, markerFile, ownerFile, trashDir, volumesDir)
	second := openOther(t, "node-2", base)
	wantUnusable(t, second, v.ID)
}
