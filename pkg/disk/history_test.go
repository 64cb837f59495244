package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/plugin"
)

// restarted is what a program finds that starts with this file.
func restarted(t *testing.T, file string) *History {
	t.Helper()
	h := NewHistory(file)
	h.Load()
	return h
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disks.json")
	h := restarted(t, file)
	if h.Unreadable != nil || len(h.Paths()) > 0 || !h.LastRun().IsZero() || h.File() != file {
		t.Fatalf("a first start remembers %+v (%v)", h.content, h.Unreadable)
	}
	h.Used(holding("/a", one, 2, hdd, 2).Probe)
	h.Used(holding("/b", two, 0, root, 3).Probe)
	h.Holds("/a", one, 7)
	h.Holds("/b", one, 8) // which is at /a
	h.Holds("/c", one, 9)
	h.Intend(three)
	h.SetForeign(one, 4096)
	now := time.Date(2026, 11, 23, 15, 49, 47, 0, time.FixedZone("", 3600))
	h.SetLastRun(now)
	h.Save()
	if h.Unwritable != nil {
		t.Fatal(h.Unwritable)
	}

	again := restarted(t, file)
	want := content{
		Version:  1,
		Instance: h.Instance(),
		Paths: entries{
			"/a": {Disk: one, Generation: 2, Filesystem: hdd, MountPoint: true, Volumes: 7},
			"/b": {Disk: two, Filesystem: root},
		},
		Generations: map[string]int{one: 2, two: 0, three: 0},
		Foreign:     map[string]int64{one: 4096},
		LastRun:     now,
	}
	if diff := cmp.Diff(want, again.content); diff != "" || again.Unreadable != nil {
		t.Errorf("a restart remembers (-want +got), %v:\n%s", again.Unreadable, diff)
	}
	if bytes, known := again.Foreign(one); bytes != 4096 || !known {
		t.Errorf("foreign bytes %d, %t", bytes, known)
	}
	if _, known := again.Foreign(two); known {
		t.Error("foreign bytes of a disk are known that were never counted")
	}
	wantNames(t, filepath.Dir(file), "disks.json")

	// An older copy that is used does not make the disk any older.
	again.Used(holding("/c", one, 1, hdd, 4).Probe)
	if got := again.content.Generations[one]; got != 2 {
		t.Errorf("generation %d of the disk is the highest, it was 2", got)
	}
}

// TestHistoryIsWrittenWhenItChanges holds Save to leave the file alone otherwise:
// it is called often.
func TestHistoryIsWrittenWhenItChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disks.json")
	h := NewHistory(file)
	h.Used(holding("/a", one, 0, hdd, 2).Probe)
	h.Save()
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*History{h, restarted(t, file)} {
		h.Used(holding("/a", one, 0, hdd, 2).Probe)
		h.Save()
		if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
			t.Errorf("what has not changed is written again (%v)", err)
		}
	}
	h.Used(holding("/a", one, 1, hdd, 2).Probe)
	h.Save()
	if after, err := os.Stat(file); err != nil || os.SameFile(before, after) {
		t.Errorf("the file is changed in place (%v): a crash would leave half of it", err)
	}
}

func TestHistoryInMemory(t *testing.T) {
	h := NewHistory("")
	h.Used(holding("/a", one, 0, hdd, 2).Probe)
	h.Save()
	h.Load()
	if h.Unreadable != nil || h.Unwritable != nil || h.At("/a").Disk != one {
		t.Errorf("%+v, %v, %v", h.At("/a"), h.Unreadable, h.Unwritable)
	}
}

func TestHistoryUnreadable(t *testing.T) {
	for _, test := range []struct{ name, content, says string }{
		{"empty", "", "cannot be read"},
		{"cut off", `{"version": 1, "pa`, "cannot be read"},
		{"nothing", "null", "has version 0"},
		{"an empty object", "{}", "has version 0"},
		{"another type", `{"version": 1, "paths": [], "generations": {}}`, "cannot be read"},
		{"without paths", `{"version": 1, "generations": {}}`, "names no paths"},
		{"without generations", `{"version": 1, "paths": {}}`, "no generations"},
		{"newer", `{"version": 2, "paths": {}, "generations": {}}`, "has version 2, this hostdir knows version 1"},
		{"too large", strings.Repeat(" ", 1<<16+1), "not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "disks.json")
			writeFile(t, file, test.content)
			h := restarted(t, file)
			if h.Unreadable == nil || !strings.Contains(h.Unreadable.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", h.Unreadable, test.says)
			}
			h.Used(holding("/a", one, 0, hdd, 2).Probe)
			h.Save()
			if kept, err := os.ReadFile(file); err != nil || string(kept) != test.content {
				t.Errorf("the file that cannot be read was changed to %q (%v)", kept, err)
			}
			if h.Unwritable != nil {
				t.Errorf("it was not to be written, and cannot be: %v", h.Unwritable)
			}
			// Its removal says that all is as it should be.
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			h.Load()
			h.Save()
			if again := restarted(t, file); again.Unreadable != nil || again.At("/a").Disk != one {
				t.Errorf("written down is %+v (%v)", again.content, again.Unreadable)
			}
		})
	}
}

// TestHistoryReadableAgain finds the file repaired while the program runs, which has
// seen something itself meanwhile.
func TestHistoryReadableAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disks.json")
	before := NewHistory(file)
	for path, c := range map[string]Candidate{"/a": holding("/a", one, 2, hdd, 2), "/b": holding("/b", two, 0, ssd, 2), "/c": holding("/c", three, 0, ssd, 3)} {
		c.Probe.Path = path
		before.Used(c.Probe)
	}
	before.SetForeign(one, 1)
	before.SetForeign(two, 1)
	then := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	before.SetLastRun(then)
	before.Save()
	if err := errors.Join(os.Rename(file, file+".aside"), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}

	h := restarted(t, file)
	if h.Unreadable == nil {
		t.Fatal("a directory is a history")
	}
	h.Used(holding("/a", one, 1, hdd, 3).Probe) // an older copy, as nobody knew
	all := []Candidate{faulty(empty("/b", root, 1), errors.New("it is not empty")), faulty(empty("/d", root, 1), errors.New("it is not empty"))}
	h.Apply(all, Decide(h, all, Override{}))
	h.SetForeign(one, 2)
	h.SetLastRun(then.Add(time.Hour))
	if err := errors.Join(os.Remove(file), os.Rename(file+".aside", file)); err != nil {
		t.Fatal(err)
	}
	h.Load()
	want := content{
		Version:  1,
		Instance: h.Instance(), // disks are signed with it by now
		Paths: entries{
			"/a": used(one, 1, hdd), // newer than what was written down
			"/b": used(two, 0, ssd), // says more than that something foreign is there
			"/c": used(three, 0, ssd),
			"/d": foreign(root),
		},
		Generations: map[string]int{one: 2, two: 0, three: 0},
		Foreign:     map[string]int64{one: 2, two: 1},
		LastRun:     then.Add(time.Hour),
	}
	if diff := cmp.Diff(want, h.content); diff != "" || h.Unreadable != nil {
		t.Errorf("what is known now (-want +got), %v:\n%s", h.Unreadable, diff)
	}
	h.Save()
	if diff := cmp.Diff(want, restarted(t, file).content); diff != "" || h.Unwritable != nil {
		t.Errorf("a restart remembers (-want +got), %v:\n%s", h.Unwritable, diff)
	}
}

func TestHistoryUnwritable(t *testing.T) {
	plugin.RequireRoot(t)
	at := t.TempDir()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(at, "disks.json")
	h := NewHistory(file)
	h.Used(holding("/a", one, 0, hdd, 2).Probe)
	remount(unix.MS_RDONLY)
	h.Save()
	if !errors.Is(h.Unwritable, unix.EROFS) {
		t.Errorf("error %v, want %v", h.Unwritable, unix.EROFS)
	}
	remount(0)
	h.Save()
	if again := restarted(t, file); h.Unwritable != nil || again.At("/a").Disk != one {
		t.Errorf("written down is %+v (%v)", again.content, h.Unwritable)
	}

	// A full disk leaves the last history whole.
	writeFile(t, filepath.Join(at, "filler"), strings.Repeat("x", 900<<10))
	for writeMore(filepath.Join(at, "filler")) == nil {
	}
	h.Used(holding("/a", two, 0, hdd, 3).Probe)
	h.Save()
	if again := restarted(t, file); !dir.IsNoSpace(h.Unwritable) || again.Unreadable != nil || again.At("/a").Disk != one {
		t.Errorf("%v; written down is %+v (%v)", h.Unwritable, again.content, again.Unreadable)
	}
	if err := os.Remove(filepath.Join(at, "filler")); err != nil {
		t.Fatal(err)
	}
	h.Save()
	if again := restarted(t, file); h.Unwritable != nil || again.At("/a").Disk != two {
		t.Errorf("written down is %+v (%v)", again.content, h.Unwritable)
	}
	wantNames(t, at, "disks.json")
}

func writeMore(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(make([]byte, 4096))
	return err
}

// TestHistoryWithoutDirectory starts where the node's own directory is not there
// yet.
func TestHistoryWithoutDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gone", "disks.json")
	h := restarted(t, file)
	h.Intend(one)
	h.Save()
	if h.Unreadable != nil || !errors.Is(h.Unwritable, os.ErrNotExist) {
		t.Errorf("unreadable: %v, unwritable: %v", h.Unreadable, h.Unwritable)
	}
	mkdirAll(t, filepath.Dir(file))
	h.Save()
	if _, known := restarted(t, file).content.Generations[one]; !known || h.Unwritable != nil {
		t.Errorf("the disk is not written down (%v)", h.Unwritable)
	}
}

// TestIntend ends the program right after a marker was written where another disk
// was before.
func TestIntend(t *testing.T) {
	path, file := t.TempDir(), filepath.Join(t.TempDir(), "disks.json")
	h := NewHistory(file)
	newDisk(t, path, one)
	h.Used(Look(path, "", Probe{}))
	h.Save()
	for _, name := range []string{MarkerFile, VolumesDir, TrashDir, ClaimsDir} {
		if err := os.Remove(filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	h.Intend(two)
	h.Save()
	newDisk(t, path, two)
	all := []Candidate{{Probe: Look(path, "", Probe{})}}
	if err := Decide(restarted(t, file), all, Override{})[0].Err; err != nil {
		t.Error(err)
	}
}
