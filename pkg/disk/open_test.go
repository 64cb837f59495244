package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestOpenThroughLinks follows links that lead somewhere, and names those that do
// not.
func TestOpenThroughLinks(t *testing.T) {
	root := t.TempDir()
	disks := filepath.Join(root, "disks")
	mkdirAll(t, disks)
	mkdirAll(t, filepath.Join(root, "by-uuid/x/hostdir"))
	symlink(t, filepath.Join(root, "by-uuid/x"), filepath.Join(disks, "absolute"))
	symlink(t, "../by-uuid/x", filepath.Join(disks, "relative"))
	symlink(t, "relative", filepath.Join(disks, "twice"))
	symlink(t, "/elsewhere/y", filepath.Join(disks, "away"))
	symlink(t, "../by-uuid/y", filepath.Join(disks, "gone"))
	symlink(t, "away", filepath.Join(disks, "chain"))
	symlink(t, "loop", filepath.Join(disks, "loop"))
	symlink(t, "disks", filepath.Join(root, "links"))
	for _, test := range []struct {
		path   string
		reason Reason
		says   string
	}{
		{"disks/absolute", "", ""},
		{"disks/relative/hostdir", "", ""},
		{"disks/twice", "", ""},
		{"links/twice", "", ""},
		{"disks/away", Absent, disks + "/away is a symbolic link to /elsewhere/y, which hostdir does not see"},
		{"disks/away/hostdir", Absent, disks + "/away is a symbolic link to /elsewhere/y"},
		{"disks/gone", Absent, disks + "/gone is a symbolic link to " + root + "/by-uuid/y"},
		{"disks/chain", Absent, disks + "/chain is a symbolic link to " + disks + "/away"},
		{"links/away", Absent, root + "/links/away is a symbolic link to /elsewhere/y"},
		{"disks/relative/missing", Absent, "it is not there: open "},
		{"disks/missing", Absent, "it is not there: open "},
		{"disks/loop", Faulty, "too many levels of symbolic links"},
	} {
		t.Run(test.path, func(t *testing.T) {
			d, err := Open(filepath.Join(root, test.path))
			wantError(t, err, test.reason, test.says)
			if err == nil {
				d.Close()
			}
		})
	}
}

// TestLookBelowMountPoint requires a disk at a mount point above the directory.
func TestLookBelowMountPoint(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 16*mebibyte)
	writeFile(t, filepath.Join(mounted, "README"), "not hostdir's")
	for _, name := range []string{"hostdir", "deep/er", "used", "covered", "files"} {
		mkdirAll(t, filepath.Join(mounted, name))
	}
	newDisk(t, filepath.Join(mounted, "used"), one)
	writeFile(t, filepath.Join(mounted, "files/precious"), "")
	symlink(t, "hostdir", filepath.Join(mounted, "link"))
	bindMount(t, t.TempDir(), filepath.Join(mounted, "covered"))
	shown, part, plain := t.TempDir(), t.TempDir(), t.TempDir()
	bindMount(t, mounted, shown) // as a container shows it
	bindMount(t, filepath.Join(mounted, "deep"), part)
	mkdirAll(t, filepath.Join(plain, "hostdir"))
	links := t.TempDir()
	symlink(t, mounted, filepath.Join(links, "a"))
	for _, test := range []struct {
		name, mountPoint, subPath string
		reason                    Reason
		says                      string
		// found is the disk that is there, "" for an empty directory.
		found string
	}{
		{"an empty directory", mounted, "hostdir", "", "", ""},
		{"a directory further below", mounted, "deep/er", "", "", ""},
		{"a disk", mounted, "used", "", "", one},
		{"a disk in a container", shown, "used", "", "", one},
		{"a disk behind a link", filepath.Join(links, "a"), "used", "", "", one},
		{"other files", mounted, "files", Faulty, `it holds "precious"`, ""},
		{"no disk", plain, "hostdir", Absent, plain + ": no disk is mounted there", ""},
		{"a directory of a disk, mounted", part, "er", Absent, part + ": no disk is mounted there, only the directory /deep of another filesystem", ""},
		{"no directory", mounted, "missing/hostdir", Absent, "a disk is mounted at " + mounted + ": if that is the right one, make the directory (`mkdir -p " + mounted + "/missing/hostdir`)", ""},
		{"no mount point", plain + "/missing", "hostdir", Absent, "it is not there", ""},
		{"another mount", mounted, "covered", Faulty, "a mount that hostdir did not make", ""},
		{"a link", mounted, "link", Faulty, "a symbolic link, which hostdir does not follow", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := tree(t, mounted)
			p := Look(filepath.Join(test.mountPoint, test.subPath), test.mountPoint, Probe{})
			wantError(t, p.Err, test.reason, test.says)
			found := ""
			if p.Marker != nil {
				found = p.Marker.UUID
			}
			if found != test.found || p.Err == nil && !p.MountPoint {
				t.Errorf("probe %+v, want disk %q at a mount point", p, test.found)
			}
			if after := tree(t, mounted); after != before {
				t.Errorf("a look has changed %q to %q", before, after)
			}
		})
	}
	if p := Look(filepath.Join(mounted, "used"), "", Probe{}); p.MountPoint || !strings.HasPrefix(p.String(), "disk "+one) {
		t.Errorf("without a mount point the directory is %+v", p)
	}
}
