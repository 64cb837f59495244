package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

// layOut makes a directory as the paths of disks are in, without symbolic links
// on the way.
func layOut(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"nvme0", "nvme1/data", "hdd/data", "lost+found/data", ".snapshots/data", ".Trash-0", "a*b", ".hidden"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"nvme-link": "nvme1", "broken": "missing"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestPaths(t *testing.T) {
	root := layOut(t)
	for _, test := range []struct {
		patterns, want []string
		// matches would be found if they were there, but are not; others never.
		matches, others []string
	}{
		{
			patterns: []string{"nvme0"}, want: []string{"nvme0"},
			others: []string{"nvme1", "nvme0/data", "nvme", ""},
		},
		{patterns: []string{"missing"}, want: []string{"missing"}},
		{
			patterns: []string{"nvme?"}, want: []string{"nvme0", "nvme1"},
			matches: []string{"nvme9"}, others: []string{"nvme10", "nvme0/data", "hdd"},
		},
		{patterns: []string{"nvme[1-9]"}, want: []string{"nvme1"}, matches: []string{"nvme2"}, others: []string{"nvme0"}},
		{
			patterns: []string{"*"}, want: []string{".hidden", "a*b", "broken", "fifo", "file", "hdd", "nvme-link", "nvme0", "nvme1"},
			matches: []string{"new"}, others: []string{"lost+found", ".snapshots", ".Trash-0", ".zfs", "aquota.user", "new/data"},
		},
		{patterns: []string{"*found"}, others: []string{"lost+found"}, matches: []string{"found"}},
		{patterns: []string{"lost+found", ".snapshots"}, want: []string{"lost+found", ".snapshots"}}, // somebody means it
		{
			patterns: []string{"*/data"}, want: []string{"broken/data", "hdd/data", "nvme-link/data", "nvme1/data"},
			matches: []string{"nvme0/data", "new/data"}, others: []string{"lost+found/data", "data", "nvme0"},
		},
		{patterns: []string{"[hln]*/d*"}, want: []string{"hdd/data", "nvme-link/data", "nvme1/data"}, others: []string{"lost+found/data"}},
		{patterns: []string{"missing/*"}, matches: []string{"missing/new"}, others: []string{"missing"}},
		{patterns: []string{"file/*"}},
		{patterns: []string{`a\*b`}, want: []string{"a*b"}, others: []string{`a\*b`, "axb"}},
		{patterns: []string{"nvme*", "nvme0", "*1"}, want: []string{"nvme-link", "nvme0", "nvme1"}},
		{patterns: []string{"hdd", "nvme0", "hdd/data"}, want: []string{"hdd", "nvme0", "hdd/data"}},
		{},
	} {
		below := func(names []string) (paths []string) {
			for _, name := range names {
				paths = append(paths, root+"/"+name)
			}
			return paths
		}
		p := Pool{Name: "a", Paths: below(test.patterns)}
		got, err := p.ExpandPaths()
		if diff := cmp.Diff(below(test.want), got); diff != "" || err != nil {
			t.Errorf("%q (-want +got), %v:\n%s", test.patterns, err, diff)
		}
		for _, path := range slices.Concat(below(test.want), below(test.matches)) {
			if !p.Matches(path) {
				t.Errorf("%q do not match %s", test.patterns, path)
			}
		}
		for _, path := range below(test.others) {
			if p.Matches(path) {
				t.Errorf("%q match %s", test.patterns, path)
			}
		}
	}
}

// TestPathsWithSubPath has each mount point hold one directory for hostdir, whether
// it is there or not.
func TestPathsWithSubPath(t *testing.T) {
	root := layOut(t)
	p := Pool{Name: "a", Paths: []string{root + "/nvme?", root + "/hdd"}, RequireMountPoint: true, SubPath: "data/x"}
	want := []string{root + "/nvme0/data/x", root + "/nvme1/data/x", root + "/hdd/data/x"}
	got, err := p.ExpandPaths()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("paths (-want +got), %v:\n%s", err, diff)
	}
	if diff := cmp.Diff(want[2:], p.PlainPaths()); diff != "" {
		t.Errorf("plain paths (-want +got):\n%s", diff)
	}
	for _, path := range append(want, root+"/nvme9/data/x") {
		if !p.Matches(path) {
			t.Errorf("%s does not match", path)
		}
		if at := p.MountPoint(path); at+"/data/x" != path {
			t.Errorf("the mount point of %s is %s", path, at)
		}
	}
	for _, path := range []string{root + "/nvme0", root + "/nvme0/x", root + "/nvme0/data", root + "/hdd/y/data/x", "/data/x"} {
		if p.Matches(path) {
			t.Errorf("%s matches", path)
		}
	}
	p.SubPath = ""
	if at := p.MountPoint("/mnt/x"); at != "/mnt/x" {
		t.Errorf("a mount point is itself, not %s", at)
	}
	p.RequireMountPoint = false
	if at := p.MountPoint("/mnt/x"); at != "" {
		t.Errorf("%s must be a mount point, and nobody has said so", at)
	}
}

// TestExpandPathsBehindDeadLinks finds what is behind a link that leads nowhere
// all the same: somebody has to report it.
func TestExpandPathsBehindDeadLinks(t *testing.T) {
	root := layOut(t) // "broken" leads nowhere
	for _, test := range []struct {
		pattern string
		want    []string
		says    string
	}{
		{"b*/data/x", []string{"broken/data/x"}, ""},
		{"b*/d*", nil, "/broken is, or lies behind, a symbolic link"},
		{"b*/data/x*", nil, "/broken/data is, or lies behind, a symbolic link"},
		{"nvme-*/data", []string{"nvme-link/data"}, ""},
		{"nvme-*/missing", nil, ""},
	} {
		var want []string
		for _, name := range test.want {
			want = append(want, root+"/"+name)
		}
		got, err := Pool{Name: "a", Paths: []string{root + "/" + test.pattern}}.ExpandPaths()
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s (-want +got), error %v, want one that says %q:\n%s", test.pattern, err, test.says, diff)
		}
	}
}

// TestExpandPathsOfUnreadable cannot list a directory: that is not as if nothing
// were in it. What other globs name is there all the same.
func TestExpandPathsOfUnreadable(t *testing.T) {
	root := layOut(t)
	if err := os.Symlink("loop", filepath.Join(root, "loop")); err != nil {
		t.Fatal(err)
	}
	p := Pool{Name: "nvme", Paths: []string{root + "/loop/*", root + "/nvme?", root + "/[l]oop/data", root + "/hdd"}}
	got, err := p.ExpandPaths()
	if diff := cmp.Diff([]string{root + "/nvme0", root + "/nvme1", root + "/hdd"}, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if !errors.Is(err, unix.ELOOP) {
		t.Errorf("error %v, want %v", err, unix.ELOOP)
	}
}

// TestExpandPathsWithoutDescriptors finds the process out of descriptors: the
// disks have not gone for that.
func TestExpandPathsWithoutDescriptors(t *testing.T) {
	plugin.RequireRoot(t)
	root := layOut(t)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	got, err := Pool{Name: "nvme", Paths: []string{root + "/*", root + "/hdd"}}.ExpandPaths()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EMFILE) || !slices.Equal(got, []string{root + "/hdd"}) {
		t.Errorf("paths %q, error %v; want the one that needs no look, and %v", got, err, unix.EMFILE)
	}
}
