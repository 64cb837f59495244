package store

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
)

// The words of pkg/disk, which these tests share with the filesystems of
// tests/disk.
const (
	volumesDir    = pkgdisk.VolumesDir
	trashDir      = pkgdisk.TrashDir
	claimsDir     = pkgdisk.ClaimsDir
	markerFile    = pkgdisk.MarkerFile
	ownerFile     = pkgdisk.OwnerFile
	markerNewFile = pkgdisk.MarkerNewFile

	Absent    = pkgdisk.Absent
	Exchanged = pkgdisk.Exchanged
	Copied    = pkgdisk.Copied
	Faulty    = pkgdisk.Faulty

	Init   = pkgdisk.Init
	Accept = pkgdisk.Accept
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8") // most of those do little but wait
	os.Exit(m.Run())
}

// refresh does what the goroutines of all paths do now and then.
func (s *Store) refresh(ctx context.Context) { s.Look(ctx) }

// countAll and purgeAll are a round of each disk's count and purge.
func (s *Store) countAll(ctx context.Context) {
	for _, d := range s.inUse() {
		s.count(ctx, d)
	}
}

func (s *Store) purgeAll(ctx context.Context) {
	for _, d := range s.inUse() {
		s.purge(ctx, d)
	}
}

// sampleAll looks at the filesystems of all disks, as each disk does every second.
func (s *Store) sampleAll() {
	for _, d := range s.inUse() {
		_ = d.sample()
	}
}

// only returns the store's only disk.
func only(t testing.TB, s *Store) *diskState {
	t.Helper()
	all := s.inUse()
	if len(all) != 1 {
		t.Fatalf("%d disks are in use, want 1: %+v", len(all), s.Status())
	}
	return all[0]
}

func (d *diskState) mustOpen(t testing.TB) openDisk {
	t.Helper()
	o, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o
}

// settle ends the wait for the room of an eviction.
func (d *diskState) settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trash.settled = time.Time{}
}
