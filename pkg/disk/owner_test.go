package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	ours      = Owner{Node: "node-1", Instance: "i"}
	namesake  = Owner{Node: "node-1", Instance: "j"}
	elsewhere = Owner{Node: "node-2", Instance: "i"} // a clone's
)

// TestOwn goes through what one hostdir finds of another on a disk.
func TestOwn(t *testing.T) {
	for _, test := range []struct {
		name string
		// prepare is what was done to the disk before.
		prepare func(t *testing.T, path string)
		// first and later are what another one has on it when it is seen first, and
		// when nothing has changed for as long as patience.
		first, later Claim
	}{
		{"nobody", func(*testing.T, string) {}, Unclaimed, Unclaimed},
		{"ourselves", func(t *testing.T, path string) { mustOwn(t, ours, path) }, Unclaimed, Unclaimed},
		{"one of the same name", func(t *testing.T, path string) { mustOwn(t, namesake, path) }, Running, Left},
		{"one of another node", func(t *testing.T, path string) { mustOwn(t, elsewhere, path) }, Running, Foreign},
		{"one of the same name that has ended", func(t *testing.T, path string) {
			mustOwn(t, namesake, path)
			mustRelease(t, namesake, path)
		}, Left, Left},
		{"one of another node that has ended", func(t *testing.T, path string) {
			mustOwn(t, elsewhere, path)
			mustRelease(t, elsewhere, path)
		}, Foreign, Foreign},
		{"one that is released by somebody else", func(t *testing.T, path string) {
			mustOwn(t, elsewhere, path)
			mustRelease(t, ours, path)
		}, Running, Foreign},
		{"a torn file", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, OwnerFile), `{"node": "no`) }, Unclaimed, Unclaimed},
		{"an empty file", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, OwnerFile), "") }, Unclaimed, Unclaimed},
		{"a file of nobody", func(t *testing.T, path string) { writeFile(t, filepath.Join(path, OwnerFile), "{}") }, Unclaimed, Unclaimed},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			test.prepare(t, path)
			var w Watch
			now := time.Now()
			w.Saw(sign(t, path), now)
			if got := w.Claim(ours, now, OwnerPatience); got != test.first {
				t.Errorf("at first the claim is %d, want %d", got, test.first)
			}
			now = now.Add(OwnerPatience - time.Second)
			w.Saw(sign(t, path), now)
			if got := w.Claim(ours, now, OwnerPatience); got != test.first {
				t.Errorf("shortly before the time is over the claim is %d, want %d", got, test.first)
			}
			now = now.Add(time.Second)
			w.Saw(sign(t, path), now)
			if got := w.Claim(ours, now, OwnerPatience); got != test.later {
				t.Errorf("then the claim is %d, want %d", got, test.later)
			}
			mustOwn(t, ours, path)
			w.Saw(sign(t, path), now)
			if got := w.Claim(ours, now, OwnerPatience); got != Unclaimed || sign(t, path).Owner != ours {
				t.Errorf("once it is ours the claim is %d, and the sign %+v", got, sign(t, path))
			}
		})
	}
}

// TestOwnerShows lets the other one be seen at work, for longer than patience.
func TestOwnerShows(t *testing.T) {
	path := t.TempDir()
	mustOwn(t, elsewhere, path)
	var w Watch
	for now := time.Now(); now.Before(time.Now().Add(2 * OwnerPatience)); now = now.Add(OwnerInterval) {
		if err := elsewhere.Show(open(t, path)); err != nil {
			t.Fatal(err)
		}
		w.Saw(sign(t, path), now)
		if got := w.Claim(ours, now, OwnerPatience); got != Running {
			t.Fatalf("the claim is %d, want %d", got, Running)
		}
		time.Sleep(time.Millisecond) // the clock of filesystems is coarse
	}
	if err := os.Remove(filepath.Join(path, OwnerFile)); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Show(open(t, path)); err != nil || sign(t, path).Owner != elsewhere {
		t.Errorf("a sign that was removed is %+v: %v", sign(t, path), err)
	}
	before := sign(t, path)
	if err := ours.Show(open(t, path)); err != nil || sign(t, path) != before {
		t.Errorf("somebody else's sign was %+v and is %+v: %v", before, sign(t, path), err)
	}
}

// TestOwnTooLate lets another hostdir sign the disk between the look and the
// signature.
func TestOwnTooLate(t *testing.T) {
	for name, meanwhile := range map[string]func(t *testing.T, path string){
		"it signs": func(t *testing.T, path string) { mustOwn(t, namesake, path) },
		"it shows": func(t *testing.T, path string) { check(t, elsewhere.Show(open(t, path))) },
		"it comes and": func(t *testing.T, path string) {
			check(t, os.Remove(filepath.Join(path, OwnerFile)))
			mustOwn(t, namesake, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			mustOwn(t, elsewhere, path)
			seen := sign(t, path)
			time.Sleep(10 * time.Millisecond)
			meanwhile(t, path)
			used, err := ours.Own(open(t, path), seen)
			if used || ReasonOf(err) != Pending || sign(t, path).Owner == ours {
				t.Errorf("it is ours (%t), %v: %+v", used, err, sign(t, path))
			}
		})
	}
}

// TestOwnAtOnce lets many take a disk at the same time: one gets it.
func TestOwnAtOnce(t *testing.T) {
	path := t.TempDir()
	const many = 20
	got := make(chan Owner, many)
	for i := range many {
		go func() {
			o := Owner{Node: "node", Instance: string(rune('a' + i))}
			d, err := Open(path)
			if err == nil {
				defer d.Close()
				var used bool
				if used, err = o.Own(d, Sign{}); used {
					got <- o
					return
				}
			}
			if ReasonOf(err) != Pending {
				t.Error(err)
			}
			got <- Owner{}
		}()
	}
	var winners []Owner
	for range many {
		if o := <-got; o != (Owner{}) {
			winners = append(winners, o)
		}
	}
	if len(winners) != 1 || sign(t, path).Owner != winners[0] {
		t.Errorf("the disk went to %v, and is signed by %v", winners, sign(t, path).Owner)
	}
}

// TestOwnReadOnly uses a disk that cannot be signed.
func TestOwnReadOnly(t *testing.T) {
	path := t.TempDir()
	check(t, unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY, ""))
	t.Cleanup(func() { mustUnmount(t, path) })
	if used, err := ours.Own(open(t, path), Sign{}); !used || !errors.Is(err, unix.EROFS) {
		t.Errorf("it is used: %t, %v", used, err)
	}
	if err := ours.Show(open(t, path)); !errors.Is(err, unix.EROFS) {
		t.Errorf("showing: %v", err)
	}
}

func sign(t *testing.T, path string) Sign {
	t.Helper()
	s, err := ReadSign(open(t, path))
	check(t, err)
	return s
}

func mustOwn(t *testing.T, o Owner, path string) {
	t.Helper()
	if used, err := o.Own(open(t, path), sign(t, path)); !used || err != nil {
		t.Fatal(used, err)
	}
}

func mustRelease(t *testing.T, o Owner, path string) {
	t.Helper()
	check(t, o.Release(open(t, path)))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
