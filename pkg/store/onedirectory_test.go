package store

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestFirstStartOnOneDirectory starts on a new directory that two paths of the
// configuration show. One of them is used; of the other it is said why it is not,
// once, in the same words from the start on.
func TestFirstStartOnOneDirectory(t *testing.T) {
	for _, test := range []struct {
		name string
		// show lays out a directory at two paths, and returns the pool's paths and
		// the path that is used.
		show func(t *testing.T, parent string) (paths []string, used string)
	}{
		{"a link", func(t *testing.T, parent string) ([]string, string) {
			base, alias := filepath.Join(parent, "base"), filepath.Join(parent, "alias")
			mkdirAll(t, base)
			symlink(t, base, alias)
			return []string{base, alias}, base
		}},
		{"a link, named first", func(t *testing.T, parent string) ([]string, string) {
			base, alias := filepath.Join(parent, "base"), filepath.Join(parent, "alias")
			mkdirAll(t, base)
			symlink(t, "base", alias)
			return []string{alias, base}, alias
		}},
		{"two links that a glob finds", func(t *testing.T, parent string) ([]string, string) {
			base, links := filepath.Join(parent, "by-uuid", "x"), filepath.Join(parent, "disks")
			mkdirAll(t, base)
			mkdirAll(t, links)
			symlink(t, base, filepath.Join(links, "a"))
			symlink(t, "../by-uuid/x", filepath.Join(links, "b"))
			return []string{filepath.Join(links, "*")}, filepath.Join(links, "a")
		}},
		{"a bind mount", func(t *testing.T, parent string) ([]string, string) {
			base, alias := filepath.Join(parent, "base"), filepath.Join(parent, "alias")
			mkdirAll(t, base)
			mkdirAll(t, alias)
			bindMount(t, base, alias)
			return []string{base, alias}, base
		}},
		{"a disk mounted twice", func(t *testing.T, parent string) ([]string, string) {
			base, alias := disk.Mount(t, "ext4", 16*mebibyte), filepath.Join(parent, "alias")
			mkdirAll(t, alias)
			bindMount(t, base, alias)
			return []string{alias, base}, alias
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			paths, used := test.show(t, t.TempDir())
			file := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, file, onePool(paths...))
			ctx, log := logged(t)
			s, err := Open(ctx, testNode, file, filepath.Join(t.TempDir(), "disks.json"))
			if err != nil {
				t.Fatal(err)
			}
			want := "it is the same directory as " + used + ": "
			wantOneUsed := func(when string) {
				t.Helper()
				status := s.Status()
				if len(status) != 2 {
					t.Fatalf("%s: %d disks, want 2: %+v", when, len(status), status)
				}
				for _, x := range status {
					switch {
					case x.Path == used && x.Err != nil:
						t.Errorf("%s: %s is not used: %v", when, x.Path, x.Err)
					case x.Path != used && (x.Reason != Copied || !strings.HasPrefix(x.Err.Error(), want)):
						t.Errorf("%s: %s: %q: %v, want %q and %q", when, x.Path, x.Reason, x.Err, Copied, want)
					}
				}
			}
			s.Look(ctx)
			wantOneUsed("at first")
			s.decide(ctx) // before the other path is looked at again
			for _, x := range s.slots {
				s.takeUp(ctx, x)
			}
			wantOneUsed("decided again")
			v := mustCreate(t, s, request("pvc-1"))
			s.Look(ctx)
			wantOneUsed("looked at again")
			if n := strings.Count(log.String(), "disk cannot be used"); n != 1 {
				t.Errorf("that a disk cannot be used is logged %d times, want once:\n%s", n, log)
			}

			s, err = Open(ctx, testNode, file, s.history.File())
			if err != nil {
				t.Fatal(err)
			}
			s.Look(ctx)
			wantOneUsed("after a restart")
			mustDelete(t, s, v.ID)
		})
	}
}

// TestOneDirectoryAnswersLate has the first of two paths to a directory answer while
// its disk is being made, or read, at the second: it is not taken away from there.
func TestOneDirectoryAnswersLate(t *testing.T) {
	plugin.RequireRoot(t)
	for _, test := range []struct {
		name string
		// made has the directory be a disk already; early has the first path be
		// looked at before it was one.
		made, early bool
	}{
		{"a disk", true, false},
		{"an empty directory, seen when it was empty", false, true},
		{"an empty directory, seen as a disk", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := t.TempDir()
			base, alias := filepath.Join(parent, "base"), filepath.Join(parent, "alias")
			mkdirAll(t, base)
			symlink(t, base, alias)
			if test.made {
				openStore(t, onePool(base))
			}
			file := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, file, onePool(alias, base))
			ctx, log := logged(t)
			s, err := Open(ctx, testNode, file, filepath.Join(t.TempDir(), "disks.json"))
			if err != nil {
				t.Fatal(err)
			}
			s.ownerPatience = 0
			first, second := s.slotAt(alias), s.slotAt(base)
			first.added = first.added.Add(-2 * decideGrace) // it was waited for long enough
			s.probe(second)
			s.decide(ctx)
			if !second.approved {
				t.Fatalf("%s is not used without the other path: %v", base, second.err)
			}
			if test.early {
				s.probe(first)
			}
			probe := second.probe
			d, err := s.prepare(ctx, second, &probe)
			if err != nil {
				t.Fatal(err)
			}
			if !test.early {
				s.probe(first)
			}
			s.decide(ctx)
			s.takeUp(ctx, first)
			if err := s.putToUse(ctx, second, d, probe, !test.made); err != nil {
				t.Fatal(err)
			}
			s.Look(ctx)
			if status := s.Status(); status[0].Reason != Copied || !strings.Contains(status[0].Err.Error(), "the same directory as "+base) || status[1].Err != nil {
				t.Errorf("status %+v, want the second path to be used, and the first to name it", status)
			}
			if n := strings.Count(log.String(), "disk cannot be used"); n != 1 {
				t.Errorf("that a disk cannot be used is logged %d times, want once:\n%s", n, log)
			}
		})
	}
}
