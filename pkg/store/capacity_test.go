package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
)

// wantAbout allows for the few blocks that directories take.
func wantAbout(t *testing.T, what string, got, want int64) {
	t.Helper()
	const slack = mebibyte / 4
	if got < want-slack || got > want+slack {
		t.Errorf("%s: %d bytes, want about %d", what, got, want)
	}
}

func TestCapacity(t *testing.T) {
	small, large := mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=64m")
	// Disks on one filesystem share its room.
	sibling := filepath.Join(small, "sibling")
	mkdirAll(t, sibling)
	mkdirAll(t, filepath.Join(small, "pool"))
	s := openStore(t, onePool(filepath.Join(small, "pool"), sibling, large))
	c := s.Capacity(config.Class{Pool: config.DefaultPool})
	wantAbout(t, "the pool", c.AvailableBytes, 80*mebibyte)
	wantAbout(t, "the largest volume", c.MaximumVolumeBytes, 64*mebibyte)

	req := request("pvc-1")
	req.RequiredBytes = c.MaximumVolumeBytes + 1
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
	req.RequiredBytes = c.MaximumVolumeBytes
	mustCreate(t, s, req)
}

func TestReserve(t *testing.T) {
	for _, test := range []struct {
		reserve string
		want    int64
	}{
		{"25%", 48 * mebibyte},
		{"16Mi", 48 * mebibyte},
		{"99.9%", 0},
		{"1Gi", 0},
		{"0", 64 * mebibyte},
	} {
		t.Run(test.reserve, func(t *testing.T) {
			base := mountTmpfs(t, "size=64m")
			s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], reserve: %q}]", base, test.reserve))
			wantAbout(t, "capacity", s.Capacity(config.Class{Pool: config.DefaultPool}).AvailableBytes, test.want)
			_, err := s.Create(t.Context(), CreateRequest{Name: "pvc-1", RequiredBytes: test.want + mebibyte, Class: defaultClass})
			wantClass(t, err, errdefs.ErrNoSpace)
			wantNames(t, filepath.Join(base, volumesDir))
		})
	}
}

func TestRoomiestBaseIsChosen(t *testing.T) {
	small, large := mountTmpfs(t, "size=4m"), mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(small, large))
	mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(large, volumesDir), "pvc-1")

	writeFile(t, filepath.Join(large, volumesDir, "pvc-1", dataDir, "file"), strings.Repeat("x", 12*mebibyte))
	s.sampleAll()
	mustCreate(t, s, request("pvc-2"))
	wantNames(t, filepath.Join(small, volumesDir), "pvc-2")

	// A disk that cannot be used does not keep the other from it.
	if err := os.Remove(filepath.Join(small, markerFile)); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, request("pvc-3"))
	wantNames(t, filepath.Join(large, volumesDir), "pvc-1", "pvc-3")
}

func TestReadOnlyFilesystem(t *testing.T) {
	base := mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	remount(t, base, unix.MS_RDONLY, "")
	s.sampleAll()

	if c := s.Capacity(config.Class{Pool: config.DefaultPool}); c != (Capacity{}) {
		t.Errorf("capacity %+v, want none", c)
	}
	_, err := s.Create(t.Context(), request("pvc-2"))
	wantClass(t, err, errdefs.ErrNoSpace)
	wantClass(t, s.Delete(t.Context(), v.ID, anyUse), unix.EROFS)
	// What is there can be read.
	if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
		t.Error(err)
	}
	if again := mustCreate(t, s, request("pvc-1")); again.ID != v.ID {
		t.Errorf("the volume is %s now, it was %s", again.ID, v.ID)
	}
	s = reopen(t, s)
	if _, err := s.Volume(t.Context(), v.ID); err != nil {
		t.Errorf("after a restart: %v", err)
	}

	remount(t, base, 0, "")
	mustDelete(t, s, v.ID)
}

// TestBaseTakesWhatItCan lets a write fail in every place at which the disk can
// be full: the pool says that there is room, and with each round there is a
// little more.
func TestBaseTakesWhatItCan(t *testing.T) {
	const rounds = 64
	for _, test := range []struct {
		name    string
		options string // of the filesystem, when it is empty
		grow    func(round int) string
	}{
		// Root, marker, owner and three directories.
		{"no inodes", "nr_inodes=7", func(round int) string { return fmt.Sprintf("nr_inodes=%d", 7+round) }},
		{"no blocks", "nr_blocks=3", func(round int) string { return fmt.Sprintf("nr_blocks=%d", 2+round) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := mountTmpfs(t, test.options)
			s := openStore(t, onePool(base))
			if err := brokenBecause(t, s); err != nil {
				t.Fatal(err)
			}
			refused := 0
			for round := range rounds {
				remount(t, base, 0, test.grow(round))
				_, err := only(t, s).create(t.Context(), s, "pvc-1", Record{Version: recordVersion, Name: "pvc-1", Class: defaultClass, Claim: www}, &gate{})
				wantNames(t, filepath.Join(base, trashDir))
				if err == nil {
					if refused == 0 {
						t.Error("no write has failed: the test proves nothing")
					}
					wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
					return
				}
				refused++
				wantClass(t, err, errdefs.ErrNoSpace)
				wantNames(t, filepath.Join(base, volumesDir))
				if len(s.Volumes()) != 0 {
					t.Error("a volume that was not made is listed")
				}
			}
			t.Errorf("no volume was made in %d rounds", rounds)
		})
	}
}
