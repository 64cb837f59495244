package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPurgeIsFair has a large deleted volume, which takes many turns: small ones
// that come later go before its next.
func TestPurgeIsFair(t *testing.T) {
	s, base := newStore(t)
	d := only(t, s)
	large := mustCreate(t, s, request("pvc-0-large"))
	for i := range 500 {
		mkdirAll(t, filepath.Join(large.Path, fmt.Sprint(i)))
	}
	mustDelete(t, s, large.ID)
	turn := func() string {
		t.Helper()
		if err := d.readTrash(); err != nil {
			t.Fatal(err)
		}
		e, ok := d.nextDue(true, nil)
		if !ok {
			t.Fatal("nothing is due")
		}
		e, err := d.mark(e)
		if err != nil {
			t.Fatal(err)
		}
		// A turn that is over at once.
		if err := d.purgeSlice(t.Context(), e, time.Microsecond); err == errSlice {
			d.updateTrashed(e.trashID(), func(t *trashed) { t.turns++ })
		} else if err != nil {
			t.Fatal(err)
		} else {
			d.forgetTrashed(e.trashID())
		}
		return e.name
	}
	if name := turn(); name != "pvc-0-large" {
		t.Errorf("it is the turn of %s, which is alone with pvc-0-large", name)
	}
	for i := range 3 {
		name := fmt.Sprintf("pvc-%d-small", i)
		mustDelete(t, s, mustCreate(t, s, request(name)).ID)
		first := turn()
		for range 50 { // a small one may take some turns as well, if they are so short
			if first != name || turnOf(d, name) == nil {
				break
			}
			first = turn()
		}
		if turnOf(d, name) != nil && turnOf(d, "pvc-0-large").turns > turnOf(d, name).turns+1 {
			t.Errorf("%s has %d turns, the large one %d", name, turnOf(d, name).turns, turnOf(d, "pvc-0-large").turns)
		}
	}
	s.purgeAll(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
}

func turnOf(d *diskState, name string) *trashed {
	for _, t := range d.trashList() {
		if t.name == name {
			return &t
		}
	}
	return nil
}

// TestTrashIsReadOnce keeps many deleted volumes: to look at the trash again does not
// read their records again.
func TestTrashIsReadOnce(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	mustDelete(t, s, mustCreate(t, s, request("pvc-1")).ID)
	s = reopen(t, s)
	wantTrash(t, s, "pvc-1")
	if err := os.Remove(filepath.Join(s.Trash()[0].Path, recordFile)); err != nil {
		t.Fatal(err)
	}
	wantTrash(t, s, "pvc-1")
	if d := s.Trash()[0]; d.Record == nil || d.PurgeErr != nil {
		t.Errorf("the record was read again: %+v", d)
	}
	// What others have added and removed is seen.
	writeFile(t, filepath.Join(base, "aside"), "")
	if err := os.Rename(s.Trash()[0].Path, filepath.Join(base, "moved")); err != nil {
		t.Fatal(err)
	}
	wantTrash(t, s)
	if err := os.Rename(filepath.Join(base, "moved"), filepath.Join(base, trashDir, newEntry("pvc-2", time.Now()).file)); err != nil {
		t.Fatal(err)
	}
	wantTrash(t, s, "pvc-2")
}
