package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestDisksBehindLinks has a folder of links to disks: those that lead to one are
// followed, of the others it is said where they lead.
func TestDisksBehindLinks(t *testing.T) {
	plugin.RequireRoot(t)
	root := t.TempDir()
	folder := filepath.Join(root, "disks")
	mkdirAll(t, folder)
	x, y := disk.Mount(t, "ext4", 16*mebibyte), disk.Mount(t, "ext4", 16*mebibyte)
	symlink(t, x, filepath.Join(folder, "a"))
	symlink(t, "/not/in/the/container", filepath.Join(folder, "b"))
	writeFile(t, filepath.Join(folder, "README"), "links to disks")
	s := openStore(t, guardedPool(filepath.Join(folder, "*")))
	want := func(when string, says map[string]string) {
		t.Helper()
		status := s.Status()
		if len(status) != len(says) {
			t.Errorf("%s: disks %+v, want %d", when, status, len(says))
		}
		for _, d := range status {
			if words := says[filepath.Base(d.Path)]; (d.Err == nil) != (words == "") || d.Err != nil && !strings.Contains(d.Err.Error(), words) {
				t.Errorf("%s: %s: %v, want %q", when, d.Path, d.Err, words)
			}
		}
	}
	dead := filepath.Join(folder, "b") + " is a symbolic link to /not/in/the/container, which hostdir does not see"
	want("at first", map[string]string{"a": "", "b": dead, "README": "not a directory"})
	v := mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(x, volumesDir), "pvc-1")

	// The link is the path: what it leads to must be the disk that it was.
	relink := func(to string) {
		t.Helper()
		if err := os.Remove(filepath.Join(folder, "a")); err != nil {
			t.Fatal(err)
		}
		symlink(t, to, filepath.Join(folder, "a"))
	}
	relink(y)
	wantUnusable(t, s, v.ID) // at once
	s.refresh(t.Context())
	want("led to another disk", map[string]string{"a": "is the disk mounted?", "b": dead, "README": "not a directory"})
	wantNames(t, y, "lost+found")
	relink(t.TempDir())
	s.refresh(t.Context())
	want("led to a plain directory", map[string]string{"a": "no disk is mounted there", "b": dead, "README": "not a directory"})
	relink(x)
	s.refresh(t.Context())
	mustDelete(t, s, v.ID)
	mustUnmount(t, x)
	s.refresh(t.Context())
	want("unmounted", map[string]string{"a": "no disk is mounted there", "b": dead, "README": "not a directory"})
}

// TestGlobBehindLinks has links on the way to what a glob names: none is passed over
// in silence.
func TestGlobBehindLinks(t *testing.T) {
	root := t.TempDir()
	mkdirAll(t, filepath.Join(root, "by-uuid/x/hostdir"))
	mkdirAll(t, filepath.Join(root, "disks"))
	symlink(t, "../by-uuid/x", filepath.Join(root, "disks/a"))
	symlink(t, "/not/in/the/container", filepath.Join(root, "disks/b"))
	ctx, log := logged(t)
	s := openStore(t, onePool(filepath.Join(root, "disks/*/hostdir")))
	status := s.Status()
	if len(status) != 2 || status[0].Err != nil || status[1].Reason != Absent || !strings.Contains(status[1].Err.Error(), root+"/disks/b is a symbolic link to /not/in/the/container") {
		t.Errorf("disks %+v, want the first to be used, and the second to name its link", status)
	}
	writeFile(t, s.configFile, onePool(filepath.Join(root, "disks/*/h*")))
	for range 3 {
		s.reload(ctx)
	}
	if n := strings.Count(log.String(), root+"/disks/b is, or lies behind, a symbolic link that leads to nothing"); n != 1 {
		t.Errorf("the link is named %d times, want once:\n%s", n, log)
	}
}

// TestPathInTwoPools has two pools name one disk: the first has it, from the start
// on, and that is said once.
func TestPathInTwoPools(t *testing.T) {
	plugin.RequireRoot(t)
	root := t.TempDir()
	for _, name := range []string{"nvme0", "sda"} {
		mkdirAll(t, filepath.Join(root, name))
	}
	for second, want := range map[string]int{"nvme*": 1, "nvme0": 1, "*0": 1, "hdd*": 0} {
		t.Run(second, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, file, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}, {name: fast, paths: [%q]}]", root+"/*", root+"/s*", filepath.Join(root, second)))
			ctx, log := logged(t)
			s, err := Open(ctx, testNode, file, filepath.Join(t.TempDir(), "disks.json"))
			if err != nil {
				t.Fatal(err)
			}
			wantFirst := func(when string, disks int) {
				t.Helper()
				status := s.Status()
				if len(status) != disks {
					t.Errorf("%s: disks %+v, want %d", when, status, disks)
				}
				for _, d := range status {
					if d.Pool != "default" {
						t.Errorf("%s: %s is in pool %s", when, d.Path, d.Pool)
					}
				}
			}
			wantFirst("before globs are looked at", strings.Count(second, "nvme0"))
			for range 3 {
				s.reload(ctx)
				s.Look(ctx)
				wantFirst("later", 2)
			}
			if n := strings.Count(log.String(), root+`/nvme0 is in pool \"default\" already`); n != want || strings.Contains(log.String(), root+"/sda is") {
				t.Errorf("the disk of two pools is named %d times, want %d, and no other:\n%s", n, want, log)
			}
		})
	}
}
