package unsynced

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFollow shows the model system calls as strace does. The directory is
// /pool there, and holds a directory volumes and a file disk.json, synced.
func TestFollow(t *testing.T) {
	build := []string{
		`1 mkdirat(7</pool/volumes>, ".new-a", 0700) = 0`,
		`1 openat2(8</pool/volumes/.new-a>, "volume.json", {flags=O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, mode=0600, resolve=RESOLVE_BENEATH}, 24) = 9</pool/volumes/.new-a/volume.json>`,
		`1 write(9</pool/volumes/.new-a/volume.json>, ""..., 500) = 500`,
	}
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"nothing is synced", build, []string{
			"volumes/.new-a/volume.json: content",
			"volumes/.new-a/volume.json: made",
			"volumes/.new-a: made",
		}},
		{"a file is synced, its directory is not", append(build[:3:3],
			`1 fsync(9</pool/volumes/.new-a/volume.json>) = 0`,
		), []string{
			"volumes/.new-a/volume.json: made",
			"volumes/.new-a: made",
		}},
		{"all is synced and renamed, and that is not", append(build[:3:3],
			`1 fsync(9</pool/volumes/.new-a/volume.json>) = 0`,
			`1 fsync(8</pool/volumes/.new-a>) = 0`,
			`1 renameat2(7</pool/volumes>, ".new-a", 7</pool/volumes>, "a", RENAME_NOREPLACE) = 0`,
		), []string{
			"volumes/a: made",
		}},
		{"the name that was synced is another one by now", append(build[:3:3],
			`1 fsync(9</pool/volumes/.new-a/volume.json>) = 0`,
			`1 fsync(8</pool/volumes/.new-a>) = 0`,
			`1 fsync(7</pool/volumes>) = 0`,
			`1 renameat2(7</pool/volumes>, ".new-a", 7</pool/volumes>, "a", RENAME_NOREPLACE) = 0`,
		), []string{
			"volumes/.new-a: removed",
			"volumes/a: made",
		}},
		{"a sync that fails is none", []string{
			`1 fchmod(3</pool>, 0700) = 0`,
			`1 fsync(3</pool>) = -1 EIO (Input/output error)`,
		}, []string{".: mode"}},
		{"a thread that ends changes nothing", []string{
			`1 fchmod(3</pool>, 0700) = 0`,
			`2 ???( <detached ...>`,
			`2 +++ exited with 0 +++`,
		}, []string{".: mode"}},
		{"a sync that strace left out is none", []string{
			`1 fchmod(3</pool>, 0700) = 0`,
			`1 fsync(3</pool>) = 0 (INJECTED)`,
		}, []string{".: mode"}},
		{"a sync covers nothing that came after its beginning", []string{
			`1 fchmod(3</pool>, 0700) = 0`,
			`1 fsync(3</pool> <unfinished ...>`,
			`2 fchown(3</pool>, 0, 0) = 0`,
			`2 mkdirat(3</pool>, "trash", 0700) = 0`,
			`1 <... fsync resumed>) = 0`,
		}, []string{".: owner", "trash: made"}},
		{"a sync that ends late takes nothing back", []string{
			`1 fsync(3</pool> <unfinished ...>`,
			`2 mkdirat(3</pool>, "trash", 0700) = 0`,
			`2 fsync(3</pool>) = 0`,
			`1 <... fsync resumed>) = 0`,
		}, nil},
		{"a move takes the sync of both directories", []string{
			`1 mkdirat(3</pool>, "trash", 0700) = 0`,
			`1 mkdirat(3</pool/volumes>, "a", 0700) = 0`,
			`1 fsync(3</pool>) = 0`,
			`1 fsync(4</pool/volumes>) = 0`,
			`1 renameat2(4</pool/volumes>, "a", 5</pool/trash>, "a.1", RENAME_NOREPLACE) = 0`,
			`1 fsync(5</pool/trash>) = 0`,
		}, []string{"volumes/a: removed"}},
		{"a replaced file", []string{
			`1 openat(AT_FDCWD</>, "/pool/new", O_RDWR|O_CREAT, 0600) = 9</pool/new>`,
			`1 renameat(3</pool>, "new", 3</pool>, "disk.json") = 0`,
		}, []string{"disk.json: replaced"}},
		{"a subvolume", []string{
			`1 ioctl(7</pool/volumes>, BTRFS_IOC_SUBVOL_CREATE, {fd=0, name="data"}) = 0`,
		}, []string{"volumes/data: made"}},
		{"a snapshot of it", []string{
			`1 mkdirat(3</pool>, "snapshots", 0700) = 0`,
			`1 write(9</pool/disk.json>, ""..., 500) = 500`,
			`1 ioctl(7</pool/snapshots>, BTRFS_IOC_SNAP_CREATE_V2, {fd=8</pool/volumes>, flags=BTRFS_SUBVOL_RDONLY, name="data"} => {transid=0}) = 0`,
			`1 fsync(3</pool>) = 0`,
		}, []string{"disk.json: content", "snapshots/data: made"}},
		{"a sync of all covers what came before its beginning", append(build[:3:3],
			`1 syncfs(8</pool/volumes/.new-a> <unfinished ...>`,
			`2 fchown(3</pool>, 0, 0) = 0`,
			`1 <... syncfs resumed>) = 0`,
		), []string{".: owner"}},
		{"elsewhere", []string{
			`1 mkdirat(7</pools>, "a", 0700) = 0`,
			`1 write(1</pool/old (deleted)>, ""..., 500) = 500`,
			`1 write(2<socket:[1234]>, ""..., 500) = 500`,
			`1 fsync(7</pools>) = 0`,
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := model(t)
			for _, line := range test.lines {
				if err := m.Follow(strings.ReplaceAll(line, "/pool", m.path)); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, c := range m.Unsynced() {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("unsynced (-want +got):\n%s", diff)
			}
		})
	}
}

func model(t *testing.T) *Model {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pool")
	if err := os.MkdirAll(filepath.Join(dir, "volumes"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "disk.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestUnknown wants a system call to be refused that may change the directory in
// a way that the model does not know.
func TestUnknown(t *testing.T) {
	for _, line := range []string{
		`1 sync_file_range(3</pool/disk.json>, 0, 0, 0) = 0`,
		`1 ioctl(3</pool>, _IOC(_IOC_WRITE, 0x12, 0x34, 0x8), 0xc000) = 0`,
		`1 renameat2(3</pool>, "volumes", 4</elsewhere>, "volumes", 0) = 0`,
		`1 unlinkat(3</pool>, "never-made", 0) = 0`,
		`1 mkdirat(3</pool/never-made>, "a", 0700) = 0`,
		`one that strace has never said`,
	} {
		m := model(t)
		if err := m.Follow(strings.ReplaceAll(line, "/pool", m.path)); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

// TestReread changes a directory behind the model's back.
func TestReread(t *testing.T) {
	m := model(t)
	for _, err := range []error{
		os.Mkdir(filepath.Join(m.path, "volumes", "a"), 0o700),
		os.WriteFile(filepath.Join(m.path, "volumes", "a", "volume.json"), nil, 0o600),
		os.WriteFile(filepath.Join(m.path, "new"), nil, 0o600),
		os.Rename(filepath.Join(m.path, "new"), filepath.Join(m.path, "disk.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m.Compare() == nil {
		t.Error("Compare sees no difference")
	}
	if err := m.Reread(); err != nil {
		t.Fatal(err)
	}
	if err := m.Compare(); err != nil {
		t.Error(err)
	}
	want := []Change{{"disk.json", "replaced"}, {"volumes/a", "made"}}
	if diff := cmp.Diff(want, m.Unsynced()); diff != "" {
		t.Errorf("unsynced (-want +got):\n%s", diff)
	}
}
