package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestNewPlan is what can be planned, and what cannot, as values.
func TestNewPlan(t *testing.T) {
	generations := func(n int) map[string]int { return map[string]int{one: n} }
	for _, test := range []struct {
		name       string
		history    *History
		candidates []Candidate // the plan is for the first
		action     Action
		// refused is why, "" if it is not; was and effect are what the plan says.
		refused, was, effect string
		generation           int
	}{
		{
			name: "init an empty disk in place of another", history: remembering(entries{"/a": used(one, 0, hdd)}, nil),
			candidates: []Candidate{empty("/a", ssd, 1)}, action: Init,
			was: "disk " + one + " on ext4 hdd", effect: "A new disk is made of the empty directory. No volume of another disk is touched.",
		},
		{
			name: "init where nobody knows what was", history: unreadable(nil), candidates: []Candidate{empty("/a", ssd, 1)}, action: Init,
			was: "not known: the history is damaged", effect: "A new disk is made",
		},
		{name: "init a disk", candidates: []Candidate{holding("/a", one, 0, hdd, 2)}, action: Init, refused: "there is disk " + one + " on ext4 hdd already"},
		{name: "init what cannot be read", candidates: []Candidate{faulty(empty("/a", hdd, 2), unix.EIO)}, action: Init, refused: "no disk can be made here: input/output error"},
		{name: "init what does not answer", candidates: []Candidate{silent("/a")}, action: Init, refused: "it does not answer"},
		{
			name: "accept another disk", history: remembering(entries{"/a": used(two, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 3, ssd, 2)}, action: Accept,
			was: "disk " + two + " on ext4 hdd", effect: "Disk " + one + " and its volumes are used as they are here.",
		},
		{
			name: "accept a disk below a mount point", history: remembering(entries{"/a": used(two, 0, hdd)}, generations(0)),
			candidates: []Candidate{holding("/a", one, 0, root, 2)}, action: Accept,
			was: "disk " + two, effect: "as they are here.",
		},
		{
			name: "accept one of two copies", candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 0, hdd, 3)}, action: Accept,
			was: "nothing that this node has used", effect: "Its disk.json gets generation 1: all other copies are refused from now on.", generation: 1,
		},
		{
			name: "accept the older of two copies", candidates: []Candidate{holding("/a", one, 0, hdd, 2), holding("/b", one, 7, hdd, 3)}, action: Accept,
			was: "nothing", effect: "generation 8", generation: 8,
		},
		{
			name: "accept an older copy", history: remembering(entries{"/a": refusedCopy(one, 2, hdd)}, generations(4)),
			candidates: []Candidate{holding("/a", one, 2, hdd, 2)}, action: Accept,
			was: "a copy of disk " + one + " on ext4 hdd, which was refused", effect: "generation 5", generation: 5,
		},
		{
			name:       "accept a copy while another that was refused does not answer",
			history:    remembering(entries{"/a": refusedCopy(one, 0, hdd), "/b": refusedCopy(one, 5, hdd)}, generations(0)),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), silent("/b")}, action: Accept,
			was: "a copy of disk", effect: "generation 6", generation: 6,
		},
		{
			name:       "accept a copy that was refused elsewhere, where another disk was",
			history:    remembering(entries{"/a": used(two, 0, ssd), "/b": refusedCopy(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2)}, action: Accept,
			was: "disk " + two, effect: "generation 1", generation: 1,
		},
		{
			name: "accept a copy on another filesystem", candidates: []Candidate{madeOn(hdd, holding("/a", one, 1, ssd, 2))}, action: Accept,
			was: "nothing", effect: "generation 2", generation: 2,
		},
		{
			name: "accept a disk that was last seen where nothing answers", history: remembering(entries{"/b": used(one, 0, hdd)}, nil),
			candidates: []Candidate{holding("/a", one, 0, hdd, 2), silent("/b")}, action: Accept,
			was: "nothing", effect: "generation 1", generation: 1,
		},
		{name: "accept a copy of what is in use", candidates: []Candidate{holding("/a", one, 0, hdd, 2), inUse(holding("/b", one, 0, hdd, 3))}, action: Accept, refused: "disk " + one + " is in use at /b: unmount it first"},
		{name: "accept a copy on another filesystem of what is in use", candidates: []Candidate{madeOn(hdd, holding("/a", one, 0, ssd, 2)), inUse(holding("/b", one, 0, hdd, 3))}, action: Accept, refused: "in use at /b"},
		{name: "accept what is in use", candidates: []Candidate{inUse(holding("/a", one, 0, hdd, 2))}, action: Accept, refused: "there is nothing to accept: disk " + one + " is in use there"},
		{name: "accept an empty directory", history: remembering(entries{"/a": used(one, 0, hdd)}, nil), candidates: []Candidate{empty("/a", root, 1)}, action: Accept, refused: "only an empty directory on ext4 root: `hostdir disks init /a`"},
		{name: "accept what cannot be read", candidates: []Candidate{faulty(empty("/a", hdd, 2), unix.EIO)}, action: Accept, refused: "nothing that could be accepted: input/output error"},
		{name: "accept what does not answer", candidates: []Candidate{silent("/a")}, action: Accept, refused: "it does not answer"},
		{
			name: "accept a copy of the last generation", candidates: []Candidate{holding("/a", one, maxGeneration, hdd, 2), holding("/b", one, maxGeneration, hdd, 3)}, action: Accept,
			refused: "is the last one",
		},
		{name: "another action", candidates: []Candidate{holding("/a", one, 0, hdd, 2)}, action: "forget", refused: `unknown action "forget"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := test.history
			if h == nil {
				h = NewHistory("")
			}
			p, err := NewPlan(h, test.candidates, 0, test.action)
			if test.refused != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "/a: ") || !strings.Contains(err.Error(), test.refused) || p != (Plan{}) {
					t.Errorf("plan %+v, error %v; want one for /a that says %q", p, err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(p.Was, test.was) || !strings.Contains(p.Effect, test.effect) || p.generation != test.generation {
				t.Errorf("plan %+v", p)
			}
		})
	}
}

// TestTokenChanges puts something else where a plan was made.
func TestTokenChanges(t *testing.T) {
	tokens := map[string]string{}
	for name, c := range map[string]Candidate{
		"an empty directory":       empty("/a", hdd, 2),
		"another empty directory":  empty("/a", hdd, 3),
		"another empty filesystem": empty("/a", ssd, 2),
		"a disk":                   holding("/a", one, 0, hdd, 2),
		"its clone":                holding("/a", one, 0, hdd, 3),
		"another generation":       holding("/a", one, 1, hdd, 2),
		"another disk":             holding("/a", two, 0, hdd, 2),
		"a copy of the first":      madeOn(hdd, holding("/a", one, 0, ssd, 2)),
	} {
		token := c.Probe.token()
		if other, twice := tokens[token]; twice {
			t.Errorf("%s and %s have the token %q", name, other, token)
		}
		tokens[token] = name
		if again := c.Probe.token(); again != token {
			t.Errorf("%s has the tokens %q and %q", name, token, again)
		}
	}
}

// copied is a disk at one path and a copy of it, file by file, on a disk of its
// own at another.
func copied(t *testing.T) (original, copied string) {
	t.Helper()
	plugin.RequireRoot(t)
	original, copied = t.TempDir(), disk.Mount(t, "ext4", 16*mebibyte)
	newDisk(t, original, one)
	writeFile(t, filepath.Join(original, VolumesDir, "precious"), "data")
	if out, err := exec.Command("cp", "-a", original+"/.", copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return original, copied
}

func mustPlan(t *testing.T, h *History, action Action, path string) *Plan {
	t.Helper()
	before := tree(t, path)
	p, err := NewPlan(h, []Candidate{{Probe: Look(path, "", Probe{})}}, 0, action)
	if err != nil {
		t.Fatal(err)
	}
	if after := tree(t, path); after != before {
		t.Errorf("the plan alone has changed %q to %q", before, after)
	}
	return &p
}

func TestPrepare(t *testing.T) {
	_, path := copied(t)
	h := NewHistory("")
	plan := mustPlan(t, h, Accept, path)
	writeFile(t, filepath.Join(path, MarkerNewFile), `{"vers`) // what a crash has left
	if err := plan.Prepare(); err != nil {
		t.Fatal(err)
	}
	p := Look(path, path, Probe{})
	if p.Err != nil || p.Marker.Generation != 1 || p.Marker.Filesystem != p.Filesystem || p.Marker.UUID != one {
		t.Errorf("the disk is %+v, marker %+v", p, p.Marker)
	}
	wantNames(t, path, ClaimsDir, MarkerFile, "lost+found", TrashDir, VolumesDir)
	all := []Candidate{{Probe: p}}
	if err := Decide(h, all, Override{Accept, path})[0].Err; err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(path, VolumesDir, "precious")); err != nil || string(data) != "data" {
		t.Errorf("the data is %q: %v", data, err)
	}
	// Without the operator's word, as after a crash, it is the right one too.
	if err := Decide(NewHistory(""), all, Override{})[0].Err; err != nil {
		t.Error(err)
	}
}

// TestPrepareWithoutGeneration has nothing to write: the marker is as it should be.
func TestPrepareWithoutGeneration(t *testing.T) {
	path := t.TempDir()
	h := remembering(entries{path: used(two, 0, hdd)}, nil)
	initialise := mustPlan(t, h, Init, path)
	newDisk(t, path, one)
	before := tree(t, path)
	for _, p := range []*Plan{initialise, mustPlan(t, h, Accept, path)} {
		if err := p.Prepare(); err != nil {
			t.Error(err)
		}
	}
	if after := tree(t, path); after != before {
		t.Errorf("the disk was %q, and is %q", before, after)
	}
}

// TestPrepareTooLate exchanges the disk between the question and the answer.
func TestPrepareTooLate(t *testing.T) {
	for _, test := range []struct {
		name     string
		exchange func(t *testing.T, path string)
		says     string
	}{
		{"unmounted", mustUnmount, "it was exchanged a moment ago"},
		{"another directory", func(t *testing.T, path string) {
			clone := t.TempDir()
			if out, err := exec.Command("cp", "-a", path+"/.", clone).CombinedOutput(); err != nil {
				t.Fatalf("cp: %v\n%s", err, out)
			}
			bindMount(t, clone, path)
		}, "it was exchanged a moment ago: nothing was changed, look again"},
		{"another generation", func(t *testing.T, path string) {
			if err := mustPlan(t, NewHistory(""), Accept, path).Prepare(); err != nil {
				t.Fatal(err)
			}
		}, "exchanged a moment ago"},
		{"another disk", func(t *testing.T, path string) {
			marker, err := os.ReadFile(filepath.Join(path, MarkerFile))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(path, MarkerFile), strings.Replace(string(marker), one, two, 1))
		}, "exchanged a moment ago"},
		{"a damaged marker", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, MarkerFile), "{") }, "cannot be read"},
		{"no writes", func(t *testing.T, path string) {
			if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "read-only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, path := copied(t)
			plan := mustPlan(t, NewHistory(""), Accept, path)
			test.exchange(t, path)
			before := tree(t, path)
			err := plan.Prepare()
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if after := tree(t, path); after != before {
				t.Errorf("the disk was %q, and is %q", before, after)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		path := t.TempDir()
		newDisk(t, path, one)
		moved := path + "-moved"
		h := remembering(entries{path: refusedCopy(one, 0, Look(path, "", Probe{}).Filesystem)}, nil)
		plan := mustPlan(t, h, Accept, path)
		if err := errors.Join(os.Rename(path, moved), os.Symlink(filepath.Join(moved, "missing"), path)); err != nil {
			t.Fatal(err)
		}
		wantError(t, plan.Prepare(), Absent, "it is not there")
	})
}
