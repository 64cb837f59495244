package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestTrashNames(t *testing.T) {
	moment := time.Date(2026, 11, 23, 18, 30, 5, 0, time.UTC)
	for _, name := range []string{"pvc-1", "a.b", "a.purge", "a.20200101T000000Z", ".new-pvc-1"} {
		e, ok := parseEntry(newEntry(name, moment).file)
		if !ok || e.name != name || !e.deleted.Equal(moment) {
			t.Errorf("%s: parsed as %+v, %t", name, e, ok)
		}
		doomed, ok := parseEntry(e.purgingName())
		if !ok || doomed.name != name || !doomed.deleted.IsZero() || doomed.purgingName() != doomed.file {
			t.Errorf("%s, being purged: parsed as %+v, %t", name, doomed, ok)
		}
	}
	for _, foreign := range []string{"", "pvc-1." + uuid.NewString(), "notes", "notes.txt", "." + uuid.NewString(), "x.20261123T183005Z", "x.20261123T183005Z."} {
		if e, ok := parseEntry(foreign); ok {
			t.Errorf("%q is taken for an entry: %+v", foreign, e)
		}
	}
}

// keeping is a store whose pool keeps deleted volumes.
func keeping(t *testing.T, base, policy string) *Store {
	t.Helper()
	return openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q], %s}]", base, policy))
}

// age makes all that is in the trash older.
func age(t *testing.T, base string, by time.Duration) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(base, trashDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		e, ok := parseEntry(entry.Name())
		if !ok || e.deleted.IsZero() {
			continue
		}
		older := filepath.Join(base, trashDir, newEntry(e.name, e.deleted.Add(-by)).file)
		if err := os.Rename(filepath.Join(base, trashDir, e.file), older); err != nil {
			t.Fatal(err)
		}
	}
}

// wantTrash checks which volumes are in the trash, the oldest first.
func wantTrash(t *testing.T, s *Store, want ...string) {
	t.Helper()
	for _, d := range s.inUse() {
		if err := d.readTrash(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, d := range s.Trash() {
		got = append(got, d.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the trash (-want +got):\n%s", diff)
	}
}

func TestTrashTTL(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 2h")
	class := func(ttl string) config.Class {
		c, err := config.ParseClass(map[string]string{"trashTTL": ttl})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]config.Class{"pvc-1-pool": defaultClass, "pvc-2-longer": class("24h"), "pvc-3-none": class("0s")} {
		req := request(name)
		req.Class = c
		v := mustCreate(t, s, req)
		writeFile(t, filepath.Join(v.Path, "file"), "content")
		mustDelete(t, s, v.ID)
	}
	writeFile(t, filepath.Join(base, trashDir, "notes"), "somebody else's")

	s.purgeAll(t.Context())
	age(t, base, 0) // of one second: the order is by name
	wantTrash(t, s, "pvc-1-pool", "pvc-2-longer")
	age(t, base, time.Hour)
	s = reopen(t, s)
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-1-pool", "pvc-2-longer")
	age(t, base, time.Hour)
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-2-longer")
	age(t, base, 22*time.Hour)
	s.purgeAll(t.Context())
	wantTrash(t, s)
	wantNames(t, filepath.Join(base, trashDir), "notes")
}

// TestTrashOfTomorrow keeps what a wrong clock has dated.
func TestTrashOfTomorrow(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	age(t, base, -365*24*time.Hour)
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-1")
	if _, _, err := s.Undelete(t.Context(), "pvc-1"); err != nil {
		t.Error(err)
	}
}

// TestTrashOfFullPool fills a disk until the oldest deleted volumes have to go.
func TestTrashOfFullPool(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 64*mebibyte)
	s := keeping(t, base, "trashTTL: 24h, minTrashTTL: 1h")
	for i, hours := range []time.Duration{3, 2, 1} { // after the next, and all that follow
		v := mustCreate(t, s, request(fmt.Sprintf("pvc-%d", i)))
		writeFile(t, filepath.Join(v.Path, "file"), strings.Repeat("x", 8*mebibyte))
		mustDelete(t, s, v.ID)
		age(t, base, hours*20*time.Minute)
	}
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-0", "pvc-1", "pvc-2") // 2 h, 1 h, 20 min old

	leaveFree(t, filepath.Join(base, "lost+found", "others"), mebibyte)
	s.countAll(t.Context())
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-1", "pvc-2") // one was enough
	if n := s.Status()[0].Evicted; n != 1 {
		t.Errorf("%d volumes were purged early, want 1", n)
	}
	leaveFree(t, filepath.Join(base, "lost+found", "more"), mebibyte)
	s.countAll(t.Context())
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-2") // never below the least time
}

// TestTrashSurvives does what makes a pool that is half empty look full to whoever
// goes by what can be allocated: volumes that nobody has counted yet. The trash
// stays, and an error is no reason to purge it either.
func TestTrashSurvives(t *testing.T) {
	t.Parallel()
	plugin.RequireRoot(t)
	for _, filesystem := range []string{"ext4", "btrfs"} {
		t.Run(filesystem, func(t *testing.T) {
			base := disk.Mount(t, filesystem, 256*mebibyte)
			s := keeping(t, base, "trashTTL: 168h, minTrashTTL: 1h")
			writer := request("pvc-writer")
			writer.RequiredBytes = 120 * mebibyte
			v := mustCreate(t, s, writer)
			mustDelete(t, s, mustCreate(t, s, request("pvc-deleted")).ID)
			age(t, base, 2*time.Hour)

			// A burst of writes within the claim, then a restart before anything is counted.
			writeFile(t, filepath.Join(v.Path, "file"), strings.Repeat("x", 100*mebibyte))
			disk.Sync(t, base)
			s.purgeAll(t.Context())
			wantTrash(t, s, "pvc-deleted")
			s = reopen(t, s)
			s.purgeAll(t.Context())
			wantTrash(t, s, "pvc-deleted")

			// More is allocated than there is.
			mustDelete(t, s, v.ID)
			other := request("pvc-other")
			other.RequiredBytes = 20 * mebibyte
			mustCreate(t, s, other)
			if _, _, err := s.Undelete(t.Context(), "pvc-writer"); err != nil {
				t.Fatal(err)
			}
			s.purgeAll(t.Context())
			wantTrash(t, s, "pvc-deleted")
		})
	}
}

// leaveFree writes a file that takes all of the filesystem but this.
func leaveFree(t *testing.T, path string, bytes int64) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &s); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Repeat("x", int(int64(s.Bavail)*s.Bsize-bytes)))
}

func TestUndelete(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	req := request("pvc-1")
	req.Claim, req.PersistentVolume = Claim{"shop", "data-db-0"}, "pvc-1"
	v := mustCreate(t, s, req)
	writeFile(t, filepath.Join(v.Path, "file"), "content")

	for _, which := range []string{v.ID, "pvc-1", "shop/data-db-0", "the entry"} {
		mustDelete(t, s, v.ID)
		s.purgeAll(t.Context())
		if which == "the entry" {
			which = s.Trash()[0].Entry
		}
		if _, _, err := s.Undelete(t.Context(), "pvc-2"); err == nil {
			t.Error("another volume is found")
		}
		back, _, err := s.Undelete(t.Context(), which)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, back, ignoreCount); diff != "" {
			t.Errorf("the volume is another (-was +is):\n%s", diff)
		}
		wantTrash(t, s)
		content, err := os.ReadFile(filepath.Join(v.Path, "file"))
		if err != nil || string(content) != "content" {
			t.Errorf("the file holds %q: %v", content, err)
		}
		if target, err := os.Readlink(filepath.Join(base, claimsDir, "shop", "data-db-0")); err != nil || target != linkTarget("pvc-1") {
			t.Errorf("the claim's link shows %q: %v", target, err)
		}
		if diff := cmp.Diff(s.Volumes(), reopen(t, s).Volumes(), ignoreCount); diff != "" {
			t.Errorf("a start sees others (-before +after):\n%s", diff)
		}
		if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
			t.Error(err)
		}
	}
}

func TestUndeleteRefused(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	for range 2 {
		mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	}
	_, _, err := s.Undelete(t.Context(), "pvc-1")
	wantClass(t, err, errdefs.ErrInvalid) // which one?
	_, _, err = s.Undelete(t.Context(), "")
	wantClass(t, err, errdefs.ErrNotFound)

	entry := s.Trash()[0].Entry
	taken := mustCreate(t, s, request("pvc-1"))
	_, _, err = s.Undelete(t.Context(), entry)
	wantClass(t, err, errdefs.ErrConflict)
	mustDelete(t, s, taken.ID)

	broken := filepath.Join(base, trashDir, entry, recordFile)
	writeFile(t, broken, "{")
	if _, _, err = s.Undelete(t.Context(), entry); err == nil {
		t.Error("a volume without record is brought back")
	}
	wantNames(t, filepath.Join(base, volumesDir))

	// Nobody knows how long it was to be kept.
	age(t, base, 24*time.Hour)
	s.purgeAll(t.Context())
	wantTrash(t, s, "pvc-1")
	if d := s.Trash()[0]; d.PurgeErr == nil || d.Record != nil {
		t.Errorf("a volume without record is %+v", d)
	}
	if _, err := s.Purge(t.Context(), s.Trash()[0].Entry); err != nil {
		t.Error(err)
	}
	s.purgeAll(t.Context())
	wantTrash(t, s)

	// What is purged stays so, even if nothing of it is gone yet.
	mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	doomed := s.Trash()[0].Entry
	if _, err := s.Purge(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Undelete(t.Context(), doomed)
	wantClass(t, err, errdefs.ErrNotFound)
	_, err = s.Purge(t.Context(), doomed)
	wantClass(t, err, errdefs.ErrNotFound)
	s.purgeAll(t.Context())
	wantTrash(t, s)
}

// TestStuckNoMore takes the record of a deleted volume away for a while, as an
// error of the disk does.
func TestStuckNoMore(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	record := filepath.Join(s.Trash()[0].Path, recordFile)
	if err := os.Rename(record, record+".away"); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	s.purgeAll(t.Context())
	if s.Trash()[0].PurgeErr == nil {
		t.Error("a deleted volume whose record is gone is not called stuck")
	}
	if err := os.Rename(record+".away", record); err != nil {
		t.Fatal(err)
	}
	s.purgeAll(t.Context())
	if err := s.Trash()[0].PurgeErr; err != nil {
		t.Errorf("it is called stuck still: %v", err)
	}
}

// TestUndeleteRaces lets the purge and an operator meet.
func TestUndeleteRaces(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	back, gone := 0, 0
	for i := range 40 {
		name := fmt.Sprintf("pvc-%d", i)
		v := mustCreate(t, s, request(name))
		writeFile(t, filepath.Join(v.Path, "file"), "content")
		mustDelete(t, s, v.ID)
		age(t, base, time.Hour) // due now
		undeleted := make(chan error)
		go func() {
			_, _, err := s.Undelete(t.Context(), name)
			undeleted <- err
		}()
		s.purgeAll(t.Context())
		_, err := os.ReadFile(filepath.Join(v.Path, "file"))
		if failed := <-undeleted; failed == nil {
			back++
			if err != nil {
				t.Errorf("the volume is back, but not whole: %v", err)
			}
		} else {
			gone++
			wantClass(t, failed, errdefs.ErrNotFound)
			s.purgeAll(t.Context())
			if _, err := os.Lstat(filepath.Dir(v.Path)); err == nil {
				t.Error("the volume is there, but was not brought back")
			}
		}
	}
	wantTrash(t, s)
	t.Logf("%d brought back, %d purged", back, gone)
}

// TestPurgeSlices purges more than one slice takes, while the disk is free to be
// unmounted between two of them.
func TestPurgeSlices(t *testing.T) {
	t.Parallel()
	const directories, files = 20, 150
	base := mountTmpfs(t, "size=128m")
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	for i := range directories {
		d := filepath.Join(v.Path, fmt.Sprint(i))
		mkdirAll(t, d)
		for j := range files {
			writeFile(t, filepath.Join(d, fmt.Sprint(j)), "")
		}
	}
	mustDelete(t, s, v.ID)
	e, err := only(t, s).mark(only(t, s).trashList()[0].entry)
	if err != nil {
		t.Fatal(err)
	}
	slices := 0
	for {
		if err := only(t, s).purgeSlice(t.Context(), e, time.Microsecond); err == nil {
			break
		} else if err != errSlice {
			t.Fatal(err)
		}
		if slices++; slices > directories*(files+3) {
			t.Fatal("slices remove nothing")
		}
		if slices%1000 == 1 {
			wantTrash(t, s, "pvc-1")
		}
	}
	if slices < directories {
		t.Errorf("only %d slices, though each is over at once", slices)
	}
	wantNames(t, filepath.Join(base, trashDir))
}

// TestTrashRenamedWhileItIsRead renames an entry, as the purge does when it marks it,
// while the trash is listed, which takes some calls of getdents(2): what is known of
// the entry stays.
func TestTrashRenamedWhileItIsRead(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	d := only(t, s)
	for i := range 1000 {
		writeFile(t, filepath.Join(base, trashDir, fmt.Sprintf("notes-%d", i)), "")
	}
	mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	e := d.trashList()[0].entry
	d.updateTrashed(e.trashID(), func(t *trashed) { t.turns = 7 })

	unmarked, marked := filepath.Join(base, trashDir, e.file), filepath.Join(base, trashDir, e.purgingName())
	began := time.Now()
	wantRead := func() {
		t.Helper()
		began = time.Now()
		if err := d.readTrash(); err != nil {
			t.Fatal(err)
		}
		if now := turnOf(d, "pvc-1"); now == nil || now.turns != 7 {
			t.Fatalf("known of the entry: %+v", now)
		}
	}
	for range 300 {
		wantRead()
		takes := time.Since(began)
		renamed := make(chan error)
		go func() {
			time.Sleep(rand.N(takes))
			renamed <- os.Rename(unmarked, marked)
		}()
		wantRead()
		if err := <-renamed; err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(marked, unmarked); err != nil {
			t.Fatal(err)
		}
	}
}
