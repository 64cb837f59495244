package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// nothingMounted is a node without mounts.
func nothingMounted(*os.File) ([]dir.Mount, error) { return nil, nil }

func mustCheck(t *testing.T, s *Store, mounts MountTable) Report {
	t.Helper()
	report, err := s.Check(t.Context(), mounts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantFindings checks that a check finds just these: "Kind path", with the paths
// relative to the disk.
func wantFindings(t *testing.T, base string, got []Finding, want ...string) {
	t.Helper()
	var short []string
	for _, f := range got {
		path := strings.TrimPrefix(strings.TrimPrefix(f.Path, base), "/")
		short = append(short, string(f.Kind)+" "+path)
		if f.Problem == "" || f.Remedy == "" {
			t.Errorf("%s says not what it is, or what to do: %+v", f.Kind, f)
		}
	}
	slices.Sort(short)
	slices.Sort(want)
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// damage is something that goes wrong on a disk with the volumes pvc-1,
// of the claim shop/www-web-0, and pvc-2.
type damage struct {
	name string
	do   func(t *testing.T, s *Store, base string)
	// finds is what a check says of it, left what one says after a repair.
	finds, left []string
}

var damages = []damage{
	{name: "none", do: func(*testing.T, *Store, string) {}},
	{
		name:  "a configuration that is refused",
		do:    func(t *testing.T, s *Store, _ string) { writeFile(t, s.configFile, "polls: []"); s.reload(t.Context()) },
		finds: []string{"ConfigRefused CONFIG"},
		left:  []string{"ConfigRefused CONFIG"},
	},
	{
		name:  "a marker that is gone",
		do:    func(t *testing.T, _ *Store, base string) { remove(t, base, markerFile) },
		finds: []string{"DiskUnusable "},
		left:  []string{"DiskUnusable "},
	},
	{
		name: "trash and claims that are gone",
		do: func(t *testing.T, _ *Store, base string) {
			remove(t, base, trashDir)
			remove(t, base, claimsDir)
		},
		finds: []string{"DirectoryMissing trash", "DirectoryMissing claims"},
	},
	{
		name:  "volumes moved away as a whole",
		do:    func(t *testing.T, _ *Store, base string) { move(t, base, volumesDir, "aside") },
		finds: []string{"DirectoryMissing volumes", "ForeignFile aside"},
		left:  []string{"DirectoryMissing volumes", "ForeignFile aside"},
	},
	{
		name: "modes and owners",
		do: func(t *testing.T, _ *Store, base string) {
			for name, mode := range map[string]os.FileMode{".": 0o755, "volumes": 0o711, "volumes/pvc-1": 0o777, "volumes/pvc-1/data": 0o700, "claims/shop": 0o755, "disk.json": 0o644} {
				if err := os.Chmod(filepath.Join(base, name), mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chown(filepath.Join(base, "volumes/pvc-2/volume.json"), 1000, 1000); err != nil {
				t.Fatal(err)
			}
		},
		finds: []string{"WrongMode ", "WrongMode volumes", "WrongMode volumes/pvc-1", "WrongMode claims/shop", "WrongMode disk.json", "WrongMode volumes/pvc-2/volume.json"},
	},
	{
		name: "foreign files",
		do: func(t *testing.T, _ *Store, base string) {
			for _, name := range []string{"photo", "volumes/Backup.old", "volumes/pvc-1/notes", "claims/photo", "claims/shop/photo"} {
				writeFile(t, filepath.Join(base, name), "")
			}
			mkdirAll(t, filepath.Join(base, "claims/not a namespace"))
			writeFile(t, filepath.Join(base, "aquota.user"), "")              // quotacheck's
			mkdirAll(t, filepath.Join(base, ".snapshots/1"))                  // snapper's
			writeFile(t, filepath.Join(base, "volumes/pvc-1/data/photo"), "") // the pod's own
			symlink(t, "/", filepath.Join(base, "claims/elsewhere"))
			symlink(t, "/", filepath.Join(base, "claims/shop/elsewhere"))
		},
		finds: foreigners, left: foreigners,
	},
	{
		name: "leftovers of replaced files",
		do: func(t *testing.T, _ *Store, base string) {
			writeFile(t, filepath.Join(base, markerNewFile), "{")
			writeFile(t, filepath.Join(base, "volumes/pvc-1", recordNewFile), "{")
			symlink(t, "nowhere", filepath.Join(base, "claims/shop", linkNew))
		},
		finds: []string{"Leftover .disk.json.new", "Leftover volumes/pvc-1/.volume.json.new", "Leftover claims/shop/.new"},
	},
	{
		name: "half-built volumes",
		do: func(t *testing.T, _ *Store, base string) {
			mkdirAll(t, filepath.Join(base, "volumes/.new-pvc-3/data"))
			mkdirAll(t, filepath.Join(base, "volumes/.new-quota-probe"))
		},
		finds: []string{"HalfBuilt volumes/.new-pvc-3", "HalfBuilt volumes/.new-quota-probe"},
	},
	{
		name:  "a record that is gone",
		do:    func(t *testing.T, _ *Store, base string) { remove(t, base, "volumes/pvc-1/volume.json") },
		finds: []string{"Quarantined volumes/pvc-1"},
		left:  []string{"Quarantined volumes/pvc-1"},
	},
	{
		name: "a record that is gone while it was replaced",
		do: func(t *testing.T, _ *Store, base string) {
			move(t, base, "volumes/pvc-1/volume.json", "volumes/pvc-1/.volume.json.new")
		},
		finds: []string{"Quarantined volumes/pvc-1"},
		left:  []string{"Quarantined volumes/pvc-1"}, // what may be the only record is not removed
	},
	{
		name: "a newer record",
		do: func(t *testing.T, _ *Store, base string) {
			writeFile(t, filepath.Join(base, "volumes/pvc-1/volume.json"), `{"version": 2}`)
		},
		finds: []string{"Quarantined volumes/pvc-1"},
		left:  []string{"Quarantined volumes/pvc-1"},
	},
	{
		name: "a volume that is a link",
		do: func(t *testing.T, _ *Store, base string) {
			move(t, base, "volumes/pvc-1", "aside")
			symlink(t, "../aside", filepath.Join(base, "volumes/pvc-1"))
		},
		finds: []string{"Quarantined volumes/pvc-1", "ForeignFile aside"},
		left:  []string{"Quarantined volumes/pvc-1", "ForeignFile aside"},
	},
	{
		name:  "a file among the volumes",
		do:    func(t *testing.T, _ *Store, base string) { writeFile(t, filepath.Join(base, "volumes/notes"), "") },
		finds: []string{"Quarantined volumes/notes"},
		left:  []string{"Quarantined volumes/notes"},
	},
	{
		name:  "data that is gone",
		do:    func(t *testing.T, _ *Store, base string) { remove(t, base, "volumes/pvc-1/data") },
		finds: []string{"DataMissing volumes/pvc-1"},
		left:  []string{"DataMissing volumes/pvc-1"},
	},
	{
		name: "data that is a link",
		do: func(t *testing.T, _ *Store, base string) {
			remove(t, base, "volumes/pvc-1/data")
			symlink(t, "/", filepath.Join(base, "volumes/pvc-1/data"))
		},
		finds: []string{"DataMissing volumes/pvc-1"},
		left:  []string{"DataMissing volumes/pvc-1"},
	},
	{
		name:  "a volume that is gone",
		do:    func(t *testing.T, _ *Store, base string) { move(t, base, "volumes/pvc-1", "../aside") },
		finds: []string{"MissingVolume volumes/pvc-1"},
	},
	{
		name: "a volume restored by hand",
		do: func(t *testing.T, s *Store, base string) {
			move(t, base, "volumes/pvc-1", "../aside")
			only(t, s).forget(t.Context(), "pvc-1")
			move(t, base, "../aside", "volumes/pvc-1")
		},
		finds: []string{"UnknownVolume volumes/pvc-1"}, // its link comes with it
	},
	{
		name: "a record repaired by hand",
		do: func(t *testing.T, s *Store, base string) {
			v := *only(t, s).volume("pvc-1")
			v.Record, v.Quarantine = Record{ID: v.ID}, os.ErrInvalid
			only(t, s).setVolume("pvc-1", &v)
		},
		finds: []string{"StaleMemory volumes/pvc-1"},
	},
	{
		name: "an expansion that was cut short",
		do: func(t *testing.T, s *Store, base string) {
			leaveRecordGrown(t, *only(t, s).volume("pvc-1"), 2*mebibyte)
		},
		finds: []string{"StaleMemory volumes/pvc-1"},
	},
	{
		name:  "a file in the trash",
		do:    func(t *testing.T, _ *Store, base string) { writeFile(t, filepath.Join(base, "trash/notes"), "") },
		finds: []string{"ForeignFile trash/notes"},
		left:  []string{"ForeignFile trash/notes"},
	},
	{
		name: "deleted volumes that stay in the trash",
		do: func(t *testing.T, s *Store, base string) {
			for _, name := range []string{"pvc-3.20260102T030405Z.", "pvc-4.purge."} {
				mkdirAll(t, filepath.Join(base, "trash", name+only(t, s).id.UUID))
			}
		},
		finds: []string{"TrashUnreadable trash/pvc-3.20260102T030405Z.UUID"},
		left:  []string{"TrashUnreadable trash/pvc-3.20260102T030405Z.UUID"},
	},
	{
		name:  "a link that is missing",
		do:    func(t *testing.T, _ *Store, base string) { remove(t, base, "claims/shop/www-web-0") },
		finds: []string{"WrongLink claims/shop/www-web-0"},
	},
	{
		name: "a link to a volume that is gone",
		do: func(t *testing.T, _ *Store, base string) {
			symlink(t, linkTarget("pvc-gone"), filepath.Join(base, "claims/shop/www-web-7"))
		},
		finds: []string{"WrongLink claims/shop/www-web-7"},
	},
	{
		name: "links to another claim's volume",
		do: func(t *testing.T, _ *Store, base string) {
			remove(t, base, "claims/shop/www-web-0")
			symlink(t, linkTarget("pvc-2"), filepath.Join(base, "claims/shop/www-web-0"))
			symlink(t, linkTarget("pvc-2"), filepath.Join(base, "claims/shop/www-web-7"))
		},
		finds: []string{"WrongLink claims/shop/www-web-0", "WrongLink claims/shop/www-web-7"},
	},
}

var foreigners = []string{
	"ForeignFile photo", "ForeignFile volumes/Backup.old", "ForeignFile volumes/pvc-1/notes", "ForeignFile claims/photo",
	"ForeignFile claims/shop/photo", "ForeignFile claims/not a namespace", "ForeignFile claims/elsewhere", "ForeignFile claims/shop/elsewhere",
}

// TestCheck damages a disk by hand. The check says just that, and changes
// nothing; the repair fixes what is safe and leaves all data where it is.
func TestCheck(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			s, base := newStore(t)
			data := filepath.Join(createFor(t, s, "pvc-1", www).Path, "precious")
			writeFile(t, data, "")
			mustCreate(t, s, request("pvc-2"))
			wantFindings(t, base, mustCheck(t, s, nothingMounted).Findings)
			d.do(t, s, base)
			names := strings.NewReplacer("CONFIG", s.configFile[1:], "UUID", only(t, s).id.UUID)
			for _, list := range []*[]string{&d.finds, &d.left} {
				*list = slices.Clone(*list)
				for i, finding := range *list {
					(*list)[i] = names.Replace(finding)
				}
			}
			before := filesOf(t, base)
			report := mustCheck(t, s, nothingMounted)
			wantFindings(t, base, report.Findings, d.finds...)
			wantTree(t, base, before)

			repaired, left, err := s.Repair(t.Context(), nothingMounted)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range repaired {
				if f.Failed != "" {
					t.Errorf("%s %s was not repaired: %s", f.Kind, f.Path, f.Failed)
				}
			}
			wantFindings(t, base, left.Findings, d.left...)
			if len(d.left) == 0 {
				wantFindings(t, base, mustCheck(t, reopen(t, s), nothingMounted).Findings)
			}
			if len(repaired) == 0 {
				wantTree(t, base, before)
			}
			if slices.Contains(d.left, "Quarantined volumes/pvc-1") {
				reopen(t, s) // a start leaves it alone as well
				wantTree(t, base, before)
			}
			if after := filesOf(t, base); strings.Count(after, "precious") != strings.Count(before, "precious") {
				t.Errorf("the repair has removed data:\n%s", after)
			}
		})
	}
}

// TestCheckWaitsForCalls damages what a call has in hand: whether it is damage, the
// check finds out when the call is over.
func TestCheckWaitsForCalls(t *testing.T) {
	s, base := newStore(t)
	createFor(t, s, "pvc-1", www)
	halfBuilt := filepath.Join(base, volumesDir, newPrefix+"pvc-2")
	mkdirAll(t, halfBuilt)
	for name, lasts := range map[string]bool{"the volume is made": false, "nothing is made of it": true} {
		t.Run(name, func(t *testing.T) {
			unlock, err := s.locks.lock("pvc-2")
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(50*time.Millisecond, func() {
				if !lasts {
					os.Rename(halfBuilt, halfBuilt+".away")
				}
				unlock()
			})
			found := mustCheck(t, s, nothingMounted).Findings
			if lasts {
				wantFindings(t, base, found, "HalfBuilt volumes/.new-pvc-2")
				return
			}
			wantFindings(t, base, found)
			if err := os.Rename(halfBuilt+".away", halfBuilt); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("the call hangs", func(t *testing.T) {
		unlock, err := s.locks.lock("pvc-2")
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		c := s.newChecker(nothingMounted)
		c.patience = 20 * time.Millisecond
		c.repair = true
		report, err := c.check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantFindings(t, base, report.Findings, "Busy volumes/.new-pvc-2")
		if _, err := os.Stat(halfBuilt); err != nil {
			t.Errorf("what a call has in hand was touched: %v", err)
		}
	})
}

func TestRepairFails(t *testing.T) {
	base := mountTmpfs(t, "")
	s := openStore(t, onePool(base))
	createFor(t, s, "pvc-1", www)
	remove(t, base, "claims/shop/www-web-0")
	remount(t, base, unix.MS_RDONLY, "")
	repaired, left, err := s.Repair(t.Context(), nothingMounted)
	if err != nil {
		t.Fatal(err)
	}
	if len(repaired) != 1 || !strings.Contains(repaired[0].Failed, "read-only") {
		t.Errorf("what could not be repaired: %+v", repaired)
	}
	wantFindings(t, base, left.Findings, "ReadOnly ", "WrongLink claims/shop/www-web-0")
}

func TestCheckIsBounded(t *testing.T) {
	const beyond = 5
	base := mountTmpfs(t, "")
	s := openStore(t, onePool(base))
	for i := range maxFindings + beyond {
		writeFile(t, fmt.Sprintf("%s/foreign-%d", base, i), "")
	}
	found := mustCheck(t, s, nothingMounted).Findings
	last := found[len(found)-1]
	if len(found) != maxFindings+1 || last.Kind != TooMany || !strings.Contains(last.Problem, fmt.Sprint(beyond)) {
		t.Errorf("%d findings, the last is %+v", len(found), last)
	}
}

func wantTree(t *testing.T, base, want string) {
	t.Helper()
	if diff := cmp.Diff(want, filesOf(t, base)); diff != "" {
		t.Errorf("the disk has changed (-before +after):\n%s", diff)
	}
}

func remove(t *testing.T, base, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(base, name)); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, base, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(base, from), filepath.Join(base, to)); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestCheckLinkInMotion has a claim's newest volume change between the look at
// the links and the second look at one of them.
func TestCheckLinkInMotion(t *testing.T) {
	s, _ := newStore(t)
	create := func(name string) Volume {
		req := request(name)
		req.Claim = Claim{"shop", "data-db-0"}
		return mustCreate(t, s, req)
	}
	first := create("pvc-1")
	create("pvc-2")
	mustDelete(t, s, first.ID)
	create("pvc-1") // the newest again, and shown
	b := only(t, s)
	c := s.newChecker(nothingMounted)
	c.repair = true
	c.wrongLink(t.Context(), b.mustOpen(t), first.Claim, "pvc-1", "pvc-2")
	if len(c.report.Findings) > 0 || b.mustOpen(t).linkFor(first.Claim) != "pvc-1" {
		t.Errorf("a link that is right is found wrong, and shows %q: %+v", b.mustOpen(t).linkFor(first.Claim), c.report.Findings)
	}
}
