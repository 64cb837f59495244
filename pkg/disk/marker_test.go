package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

func open(t testing.TB, path string) *dir.Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// newDisk makes a directory a disk.
func newDisk(t testing.TB, path, uuid string) Marker {
	t.Helper()
	plugin.RequireRoot(t) // a disk is root's
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m, err := Initialise(d, uuid, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdirAll(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// tree lists all paths below a directory.
func tree(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command("find", path, "-printf", "%P %y %m %s\n").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such file") {
		t.Fatalf("find: %v\n%s", err, out)
	}
	return string(out)
}

func wantNames(t testing.TB, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// wantError checks the reason of an error and what it says, "" for none.
func wantError(t testing.TB, err error, reason Reason, says string) {
	t.Helper()
	if ReasonOf(err) != reason || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%q: %v; want %q, and that it says %q", ReasonOf(err), err, reason, says)
	}
}

// layouts are what a directory may hold that is to become a disk. Look and
// Initialise are of one mind about each.
var layouts = []struct {
	name string
	lay  func(t *testing.T, path string)
	// refused is why it is refused, "" if it is not.
	refused string
}{
	{"empty", func(*testing.T, string) {}, ""},
	{"what mkfs leaves", func(t *testing.T, path string) { mkdirAll(t, filepath.Join(path, "lost+found")) }, ""},
	{"what systems leave", func(t *testing.T, path string) {
		for _, name := range []string{".snapshots/1/snapshot", ".zfs/snapshot", ".Trash-0/files", ".fscrypt"} {
			mkdirAll(t, filepath.Join(path, name))
		}
		writeFile(t, filepath.Join(path, "aquota.user"), "")
		writeFile(t, filepath.Join(path, "DATALOSS_WARNING_README.txt"), "")
	}, ""},
	{"a note to whoever finds the disk missing", func(t *testing.T, path string) {
		writeFile(t, filepath.Join(path, "README"), "nothing is mounted here")
	}, `"README"`},
	{"interrupted before the first directory was filled", func(t *testing.T, path string) {
		mkdirAll(t, filepath.Join(path, VolumesDir))
	}, ""},
	{"interrupted before the rename", func(t *testing.T, path string) {
		for _, name := range []string{VolumesDir, TrashDir, ClaimsDir} {
			mkdirAll(t, filepath.Join(path, name))
		}
		writeFile(t, filepath.Join(path, MarkerNewFile), `{"vers`)
	}, ""},
	{"a file", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, "precious"), "") }, `"precious"`},
	{"a hidden file", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, ".precious"), "") }, `".precious"`},
	{"a link", func(t *testing.T, path string) {
		if err := os.Symlink("/", filepath.Join(path, "link")); err != nil {
			t.Fatal(err)
		}
	}, `"link"`},
	{"volumes without a marker", func(t *testing.T, path string) {
		mkdirAll(t, filepath.Join(path, VolumesDir, "pvc-1"))
	}, `its directory volumes holds "pvc-1"`},
	{"a file called like a directory of hostdir's", func(t *testing.T, path string) {
		writeFile(t, filepath.Join(path, TrashDir), "precious")
	}, "not a directory"},
}

func TestInitialise(t *testing.T) {
	for _, test := range layouts {
		t.Run(test.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			path := t.TempDir()
			test.lay(t, path)
			before := tree(t, path)
			now := time.Date(2026, 11, 23, 15, 49, 47, 0, time.FixedZone("", 3600))
			m, err := Initialise(open(t, path), one, now)
			if test.refused != "" {
				wantError(t, err, Faulty, test.refused)
				if after := tree(t, path); after != before {
					t.Errorf("the refused directory was %q, and is %q", before, after)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			filesystem, err := open(t, path).Filesystem()
			if err != nil {
				t.Fatal(err)
			}
			want := Marker{Version: 1, UUID: one, Filesystem: filesystem, Created: now.UTC()}
			read, err := new(MarkerCache).Read(open(t, path))
			if diff := cmp.Diff(want, m) + cmp.Diff(want, read); diff != "" || err != nil {
				t.Errorf("the marker (-want +got), %v:\n%s", err, diff)
			}
			for _, name := range []string{".", VolumesDir, TrashDir, ClaimsDir} {
				if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode() != fs.ModeDir|0o700 {
					t.Errorf("%s: mode %v (%v), want it for root alone", name, info.Mode(), err)
				}
			}
			if _, err := os.Lstat(filepath.Join(path, MarkerNewFile)); err == nil {
				t.Error("the new marker stays aside")
			}
			_, err = Initialise(open(t, path), two, now)
			wantError(t, err, Pending, "it was made a disk a moment ago")
		})
	}
}

func TestInitialiseNewFilesystems(t *testing.T) {
	plugin.RequireRoot(t)
	for filesystem, size := range map[string]int64{"ext4": 16 * mebibyte, "xfs": 300 * mebibyte, "btrfs": 128 * mebibyte} {
		t.Run(filesystem, func(t *testing.T) {
			path := disk.Mount(t, filesystem, size)
			if m := newDisk(t, path, one); m.Filesystem.Type != filesystem || m.Filesystem.UUID == "" {
				t.Errorf("the marker names the filesystem %q, want %s and a UUID", m.Filesystem, filesystem)
			}
		})
	}
}

// TestInitialiseSnapshottedFilesystem has the subvolume that snapper makes.
func TestInitialiseSnapshottedFilesystem(t *testing.T) {
	plugin.RequireRoot(t)
	path := disk.Mount(t, "btrfs", 128*mebibyte)
	if out, err := exec.Command("btrfs", "subvolume", "create", filepath.Join(path, ".snapshots")).CombinedOutput(); err != nil {
		t.Fatalf("btrfs: %v\n%s", err, out)
	}
	if p := Look(path, path, Probe{}); p.Err != nil || p.Marker != nil {
		t.Errorf("probe %+v, want an empty directory", p)
	}
	newDisk(t, path, one)
	wantNames(t, path, ".snapshots", ClaimsDir, MarkerFile, TrashDir, VolumesDir)
}

func TestOpenMissing(t *testing.T) {
	parent := t.TempDir()
	_, err := Open(filepath.Join(parent, "missing"))
	wantError(t, err, Absent, "it is not there")
	writeFile(t, filepath.Join(parent, "file"), "precious")
	_, err = Open(filepath.Join(parent, "file"))
	wantError(t, err, Faulty, "not a directory")
}

func TestReadMarkerDamaged(t *testing.T) {
	const uuid = `"uuid": "` + one + `"`
	for _, test := range []struct {
		name, content string
		reason        Reason
		says          string
	}{
		{"empty", "", Faulty, "cannot be read"},
		{"cut off", `{"version": 1, "uu`, Faulty, "cannot be read"},
		{"nothing", `null`, Faulty, "version 0"},
		{"newer", `{"version": 2, ` + uuid + `}`, Faulty, "has version 2, this hostdir knows version 1"},
		{"without a version", `{` + uuid + `}`, Faulty, "version 0"},
		{"without a UUID", `{"version": 1}`, Faulty, "no valid UUID"},
		{"a UUID that is a path", `{"version": 1, "uuid": "../../../../etc"}`, Faulty, "no valid UUID"},
		{"a generation below all", `{"version": 1, ` + uuid + `, "generation": -1}`, Faulty, "no valid generation"},
		{"a generation above all", `{"version": 1, ` + uuid + `, "generation": 1073741825}`, Faulty, "no valid generation"},
		{"too large", `{"version": 1, ` + uuid + `}` + strings.Repeat(" ", 1<<16), Faulty, "not a regular file"},
		{"of another type of filesystem", `{"version": 1, ` + uuid + `, "filesystem": {"type": "zfs"}}`, Copied, "another filesystem (zfs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			newDisk(t, path, one)
			writeFile(t, filepath.Join(path, MarkerFile), test.content)
			before := tree(t, path)
			_, err := new(MarkerCache).Read(open(t, path))
			wantError(t, err, test.reason, test.says)
			wantError(t, (Identity{UUID: one}).Check(open(t, path), new(MarkerCache)), test.reason, test.says)
			if after := tree(t, path); after != before {
				t.Errorf("the disk was %q, and is %q", before, after)
			}
		})
	}
	t.Run("a link", func(t *testing.T) {
		path := t.TempDir()
		newDisk(t, path, one)
		marker := filepath.Join(path, MarkerFile)
		if err := errors.Join(os.Rename(marker, marker+".aside"), os.Symlink(MarkerFile+".aside", marker)); err != nil {
			t.Fatal(err)
		}
		_, err := new(MarkerCache).Read(open(t, path))
		wantError(t, err, Faulty, "symbolic link")
	})
	t.Run("missing", func(t *testing.T) {
		if _, err := new(MarkerCache).Read(open(t, t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want %v", err, fs.ErrNotExist)
		}
	})
}

func TestIdentityCheck(t *testing.T) {
	path := t.TempDir()
	m := newDisk(t, path, one)
	var cache MarkerCache
	id := Look(path, "", Probe{}).Identity()
	if id.UUID != one || id.Generation != 0 || id.Inode == (dir.Inode{}) {
		t.Errorf("identity %+v", id)
	}
	wantError(t, id.Check(open(t, path), &cache), "", "")
	write := func(m Marker) {
		t.Helper()
		data, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(path, MarkerFile), string(data))
	}
	raised := m
	raised.Generation = 2
	write(raised)
	wantError(t, id.Check(open(t, path), &cache), Copied, fmt.Sprintf("it holds generation 2 of disk %s, it held generation 0", one))
	other := m
	other.UUID = two
	write(other)
	wantError(t, id.Check(open(t, path), &cache), Exchanged, fmt.Sprintf("it holds disk %s, it held %s: the disk was exchanged", two, one))
	if err := os.Remove(filepath.Join(path, MarkerFile)); err != nil {
		t.Fatal(err)
	}
	wantError(t, id.Check(open(t, path), &cache), Absent, "its disk.json is gone: is the disk mounted?")
}
