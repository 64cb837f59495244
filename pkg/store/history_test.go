package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	pkgdisk "github.com/hostdir/hostdir/pkg/disk"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// readHistory reads what a store has written down.
func readHistory(t *testing.T, s *Store) *pkgdisk.History {
	t.Helper()
	h := pkgdisk.NewHistory(s.history.File())
	h.Load()
	if h.Unreadable != nil {
		t.Fatal(h.Unreadable)
	}
	return h
}

func TestHistory(t *testing.T) {
	plugin.RequireRoot(t)
	plain, mounted := t.TempDir(), disk.Mount(t, "ext4", 16*mebibyte)
	s := openStore(t, onePool(plain, mounted))
	check := func(s *Store) {
		t.Helper()
		h := readHistory(t, s)
		for _, path := range []string{plain, mounted} {
			d, err := dir.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := new(pkgdisk.MarkerCache).Read(d)
			d.Close()
			if err != nil {
				t.Fatal(err)
			}
			want := pkgdisk.Entry{Disk: m.UUID, Filesystem: m.Filesystem, MountPoint: path == mounted}
			if diff := cmp.Diff(want, h.At(path)); diff != "" {
				t.Errorf("%s: written down is (-want +got):\n%s", path, diff)
			}
		}
	}
	check(s)
	// It is written when it changes, not each time it is looked at.
	before, err := os.Stat(s.history.File())
	if err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	s = reopen(t, s)
	if after, err := os.Stat(s.history.File()); err != nil || !os.SameFile(before, after) {
		t.Errorf("what has not changed is written again (%v)", err)
	}
	// A path that leaves the configuration may come back.
	writeFile(t, s.configFile, onePool(plain))
	check(reopen(t, s))
}

// TestHistoryLost starts without the file: as on a first start.
func TestHistoryLost(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.Remove(s.history.File()); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	wantVolume(t, s, v.ID, base)
	if paths := readHistory(t, s).Paths(); len(paths) != 1 {
		t.Errorf("written down is %q, want the disk", paths)
	}
}

// TestHistoryUnreadable finds a file that says nothing: disks are used, but an empty
// directory may be where a disk is not mounted.
func TestHistoryUnreadable(t *testing.T) {
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "cannot be read"},
		{"cut off", `{"version": 1, "ba`, "cannot be read"},
		{"newer", `{"version": 2, "paths": {}, "generations": {}}`, "version 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, base := newStore(t)
			v := mustCreate(t, s, request("pvc-1"))
			empty, second := t.TempDir(), t.TempDir()
			writeFile(t, s.configFile, onePool(base, empty, second))
			writeFile(t, s.history.File(), test.content)
			for range 2 { // the second start knows no more
				s = reopen(t, s)
				wantVolume(t, s, v.ID, base)
				wantRefused(t, s, empty, Absent, "hostdir disks init "+empty)
				wantRefused(t, s, empty, Absent, test.says)
				wantNames(t, empty)
			}
			if done := obey(t, s, Init, empty); done.PersistErr == nil {
				t.Error("the operator is not told that it is not written down")
			}
			if kept, err := os.ReadFile(s.history.File()); err != nil || string(kept) != test.content {
				t.Errorf("the file that cannot be read was changed to %q (%v)", kept, err)
			}
			// Its removal says that all is as it should be.
			if err := os.Remove(s.history.File()); err != nil {
				t.Fatal(err)
			}
			s.refresh(t.Context())
			wantNames(t, second, claimsDir, markerFile, ownerFile, trashDir, volumesDir)
			if paths := readHistory(t, s).Paths(); len(paths) != 3 {
				t.Errorf("written down is %q, want three disks", paths)
			}
		})
	}
}

// TestHistoryReadableAgain finds the file repaired while the program runs.
func TestHistoryReadableAgain(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	mustUnmount(t, base)
	aside := s.history.File() + ".aside"
	if err := errors.Join(os.Rename(s.history.File(), aside), os.Mkdir(s.history.File(), 0o700)); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	wantRefused(t, s, base, Absent, "not a regular file")
	if err := errors.Join(os.Remove(s.history.File()), os.Rename(aside, s.history.File())); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	wantRefused(t, s, base, Absent, "was here, now there is")
	wantNames(t, base)
}

// TestHistoryUnwritable works all the same, says so once, and writes it down as
// soon as it can.
func TestHistoryUnwritable(t *testing.T) {
	plugin.RequireRoot(t)
	base, onDisk := t.TempDir(), mountTmpfs(t, "size=1m")
	remount(t, onDisk, unix.MS_RDONLY, "")
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, onePool(base))
	var log bytes.Buffer
	ctx := klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	s, err := Open(ctx, testNode, file, filepath.Join(onDisk, "disks.json"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.refresh(ctx)
	}
	if n := strings.Count(log.String(), "cannot be written down"); n != 1 || s.historyErr() == nil {
		t.Errorf("it is said %d times, want once:\n%s", n, &log)
	}
	mustCreate(t, s, request("pvc-1"))
	remount(t, onDisk, 0, "")
	s.refresh(ctx)
	if at := readHistory(t, s).At(base); at.Disk != only(t, s).id.UUID || s.historyErr() != nil {
		t.Errorf("written down is %+v (%v)", at, s.historyErr())
	}
}

// TestHistoryNotMade fails to make a disk of an empty directory, again and again. That
// leaves no more traces each time.
func TestHistoryNotMade(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 16*mebibyte)
	remount(t, base, unix.MS_RDONLY, "")
	s := openStore(t, onePool(base))
	wantRefused(t, s, base, Faulty, "read-only")
	before, err := os.ReadFile(s.history.File())
	if err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	if after, err := os.ReadFile(s.history.File()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("written down was\n%s\nand is\n%s (%v)", before, after, err)
	}
	remount(t, base, 0, "")
	s.refresh(t.Context())
	mustCreate(t, s, request("pvc-1"))
}

// TestHistoryBeforeMarker ends the program right after a marker was written, where
// there was a disk before.
func TestHistoryBeforeMarker(t *testing.T) {
	s, base := newStore(t)
	if err := os.RemoveAll(base); err != nil {
		t.Fatal(err)
	}
	mkdirAll(t, base)
	d, err := dir.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	next := uuid.NewString()
	s.intend(t.Context(), next)
	if _, err := pkgdisk.Initialise(d, next, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := brokenBecause(t, reopen(t, s)); err != nil {
		t.Error(err)
	}
}
