package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// readSeen reads what a store has written down.
func readSeen(t *testing.T, s *Store) (content seenContent) {
	t.Helper()
	data, err := os.ReadFile(s.seen.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	return content
}

func TestSeen(t *testing.T) {
	plugin.RequireRoot(t)
	plain, mounted := t.TempDir(), disk.Mount(t, "ext4", 16*mebibyte)
	s := openStore(t, onePool(plain, mounted))
	want := seenContent{Version: 1, Bases: map[string]sighting{}, Pools: map[string]int{}}
	for _, b := range s.bases {
		m, err := b.mustOpen(t).readMarker()
		if err != nil {
			t.Fatal(err)
		}
		want.Bases[b.path] = sighting{Pool: m.UUID, Filesystem: m.Filesystem, MountPoint: b.path == mounted}
		want.Pools[m.UUID] = 0
	}
	if diff := cmp.Diff(want, readSeen(t, s)); diff != "" {
		t.Errorf("written down is (-want +got):\n%s", diff)
	}

	// It is written when it changes, not each time it is looked at.
	before, err := os.Stat(s.seen.file)
	if err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	s = reopen(t, s)
	if after, err := os.Stat(s.seen.file); err != nil || !os.SameFile(before, after) {
		t.Errorf("what has not changed is written again (%v)", err)
	}
	// A path that leaves the configuration may come back.
	writeFile(t, s.configFile, onePool(plain))
	if diff := cmp.Diff(want, readSeen(t, reopen(t, s))); diff != "" {
		t.Errorf("written down is (-want +got):\n%s", diff)
	}
}

// TestSeenLost starts without the file: as on a first start.
func TestSeenLost(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.Remove(s.seen.file); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	wantVolume(t, s, v.ID, base)
	if content := readSeen(t, s); len(content.Bases) != 1 {
		t.Errorf("written down is %+v, want the base directory", content)
	}
}

// TestSeenUnreadable finds a file that says nothing: pools are used, but an empty
// directory may be where a disk is not mounted.
func TestSeenUnreadable(t *testing.T) {
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "cannot be read"},
		{"cut off", `{"version": 1, "ba`, "cannot be read"},
		{"another type", `{"version": 1, "bases": [], "pools": {}}`, "cannot be read"},
		{"newer", `{"version": 2, "bases": {}, "pools": {}}`, "version 2"},
		{"too large", strings.Repeat(" ", maxFile+1), "not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, base := newStore(t)
			v := mustCreate(t, s, request("pvc-1"))
			empty, second := t.TempDir(), t.TempDir()
			writeFile(t, s.configFile, onePool(base, empty, second))
			writeFile(t, s.seen.file, test.content)
			for range 2 { // the second start knows no more
				s = reopen(t, s)
				wantVolume(t, s, v.ID, base)
				wantRefused(t, s, empty, Absent, "hostdir pools init "+empty)
				wantRefused(t, s, empty, Absent, test.says)
				wantNames(t, empty)
			}
			if done := obey(t, s, Init, empty); done.Forgetful == nil {
				t.Error("the operator is not told that it is not written down")
			}
			if kept, err := os.ReadFile(s.seen.file); err != nil || string(kept) != test.content {
				t.Errorf("the file that cannot be read was changed to %q (%v)", kept, err)
			}
			// Its removal says that all is as it should be.
			if err := os.Remove(s.seen.file); err != nil {
				t.Fatal(err)
			}
			s.refresh(t.Context())
			wantNames(t, second, claimsDir, markerFile, trashDir, volumesDir)
			if content := readSeen(t, s); len(content.Bases) != 3 || len(content.Pools) != 3 {
				t.Errorf("written down is %+v, want three base directories", content)
			}
		})
	}
}

// TestSeenReadableAgain finds the file mended while the program runs.
func TestSeenReadableAgain(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	mustUnmount(t, base)
	aside := s.seen.file + ".aside"
	if err := errors.Join(os.Rename(s.seen.file, aside), os.Mkdir(s.seen.file, 0o700)); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	wantRefused(t, s, base, Absent, "not a regular file")
	if err := errors.Join(os.Remove(s.seen.file), os.Rename(aside, s.seen.file)); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	wantRefused(t, s, base, Absent, "was here, now there is")
	wantNames(t, base)
}

// TestSeenUnwritable works all the same, says so once, and writes it down as soon
// as it can.
func TestSeenUnwritable(t *testing.T) {
	plugin.RequireRoot(t)
	s, base := newStore(t)
	onDisk := mountTmpfs(t, "size=1m")
	remount(t, onDisk, unix.MS_RDONLY, "")
	s.seen = newSeen(filepath.Join(onDisk, "bases.json"))
	var log bytes.Buffer
	ctx := klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	for range 3 {
		s.refresh(ctx)
	}
	if n := strings.Count(log.String(), "cannot be written down"); n != 1 || s.seen.unwritable == nil {
		t.Errorf("it is said %d times, want once:\n%s", n, &log)
	}
	mustCreate(t, s, request("pvc-1"))
	remount(t, onDisk, 0, "")
	s.refresh(ctx)
	if content := readSeen(t, s); content.Bases[base].Pool != s.bases[0].uuid || s.seen.unwritable != nil {
		t.Errorf("written down is %+v (%v)", content, s.seen.unwritable)
	}
}

// TestSeenNotMade fails to make a pool of an empty disk, again and again. That
// leaves no more traces each time.
func TestSeenNotMade(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 16*mebibyte)
	remount(t, base, unix.MS_RDONLY, "")
	s := openStore(t, onePool(base))
	wantRefused(t, s, base, Faulty, "read-only")
	before := readSeen(t, s)
	s.refresh(t.Context())
	if diff := cmp.Diff(before, readSeen(t, s)); diff != "" || len(before.Pools) != 1 {
		t.Errorf("written down is more than before (-before +after):\n%s", diff)
	}
	remount(t, base, 0, "")
	s.refresh(t.Context())
	mustCreate(t, s, request("pvc-1"))
}

// TestSeenBeforeMarker ends the program right after a marker was written, where
// there was a pool before.
func TestSeenBeforeMarker(t *testing.T) {
	s, base := newStore(t)
	if err := os.RemoveAll(base); err != nil {
		t.Fatal(err)
	}
	mkdirAll(t, base)
	d, err := openDir(base)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	next := newBase(base, Pool{}).nextUUID
	s.seen.announce(t.Context(), next)
	if _, err := d.initialise(next, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := brokenBecause(t, reopen(t, s)); err != nil {
		t.Error(err)
	}
}
