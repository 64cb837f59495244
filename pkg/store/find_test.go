package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestFindVolume(t *testing.T) {
	parent := t.TempDir()
	a, b := filepath.Join(parent, "a"), filepath.Join(parent, "b")
	mkdirAll(t, a)
	mkdirAll(t, b)
	s := openStore(t, onePool(a, b))
	made := func(name, claim string) Volume {
		req := request(name)
		req.PersistentVolume = "of-" + name
		if claim != "" {
			req.Claim = Claim{"shop", claim}
		}
		return mustCreate(t, s, req)
	}
	old, plain, nameless, broken := made("pvc-old", "data"), made("pvc-plain", "logs"), made("pvc-nameless", ""), made("pvc-broken", "broken")
	recent := made("pvc-new", "data")
	if err := os.Remove(filepath.Join(filepath.Dir(broken.Path), recordFile)); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	for _, test := range []struct {
		ref   string
		want  string // the ID
		class error
		says  []string
	}{
		{ref: old.ID, want: old.ID},
		{ref: "pvc-old", want: old.ID},
		{ref: "of-pvc-old", want: old.ID},
		{ref: "shop/logs", want: plain.ID},
		{ref: nameless.ID, want: nameless.ID},
		{ref: "pvc-broken", want: broken.ID}, // it is in quarantine, and whose it is nobody knows
		{ref: "shop/broken", class: errdefs.ErrNotFound},
		{ref: "shop/data", class: errdefs.ErrInvalid, says: []string{`"shop/data" is the name of 2 volumes`, old.ID + " (created ", recent.ID + " (created "}},
		{ref: "", class: errdefs.ErrNotFound},
		{ref: "/", class: errdefs.ErrNotFound},
		{ref: "logs", class: errdefs.ErrNotFound, says: []string{`no volume "logs" is on this node`}},
		{ref: "shop/log", class: errdefs.ErrNotFound},
		{ref: "../pvc-old", class: errdefs.ErrNotFound},
	} {
		v, err := s.FindVolume(test.ref)
		if test.class != nil {
			wantClass(t, err, test.class)
		} else if err != nil || v.ID != test.want {
			t.Errorf("%q is taken for %s (%v), want %s", test.ref, v.ID, err, test.want)
		}
		for _, want := range test.says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error does not tell %q: %v", test.ref, want, err)
			}
		}
	}

	mustDelete(t, s, recent.ID)
	if v, err := s.FindVolume("shop/data"); err != nil || v.ID != old.ID {
		t.Errorf("the claim's only volume is taken for %s (%v), want %s", v.ID, err, old.ID)
	}
	move(t, parent, "a", "a.away")
	s.refresh(t.Context())
	if _, err := s.FindVolume("pvc-gone"); err == nil || !strings.Contains(err.Error(), a) || strings.Contains(err.Error(), b) {
		t.Errorf("error %v, want one that names the disk that is away: it may have the volume", err)
	}
}

// TestTrashTTLOfVolume tells how long a volume could be brought back: as its class
// says, or else the pool.
func TestTrashTTLOfVolume(t *testing.T) {
	s := keeping(t, t.TempDir(), "trashTTL: 3h")
	own := request("pvc-own")
	own.Class.TrashTTL = "0s"
	mustCreate(t, s, own)
	mustCreate(t, s, request("pvc-pool"))
	for name, want := range map[string]time.Duration{"pvc-own": 0, "pvc-pool": 3 * time.Hour} {
		if v, err := s.FindVolume(name); err != nil || v.TrashTTL != want {
			t.Errorf("%s is kept for %s (%v), want %s", name, v.TrashTTL, err, want)
		}
	}
}

func TestFindDeleted(t *testing.T) {
	s := keeping(t, t.TempDir(), "trashTTL: 1h")
	req := request("pvc-1")
	req.Claim = Claim{"shop", "data"}
	v := mustCreate(t, s, req)
	if found := s.FindDeleted("shop/data"); len(found) > 0 {
		t.Errorf("a live volume is found in the trash: %+v", found)
	}
	mustDelete(t, s, v.ID)
	for ref, want := range map[string]int{"shop/data": 1, "pvc-1": 1, v.ID: 1, "": 0, "pvc-2": 0} {
		if found := s.FindDeleted(ref); len(found) != want {
			t.Errorf("%q is taken for %+v, want %d", ref, found, want)
		}
	}
	if err := s.SyncDeleted(t.Context(), v.ID); err != nil {
		t.Error(err)
	}
}

func TestParseClaim(t *testing.T) {
	for _, test := range []struct {
		text string
		want Claim
		ok   bool
	}{
		{"shop/data-db-0", Claim{"shop", "data-db-0"}, true},
		{"shop/data.v1", Claim{"shop", "data.v1"}, true},
		{"shop", Claim{}, false},
		{"", Claim{}, false},
		{"/", Claim{}, false},
		{"shop/", Claim{}, false},
		{"/data", Claim{}, false},
		{"shop/data/more", Claim{}, false},
		{"Shop/data", Claim{}, false},
		{"shop/../data", Claim{}, false},
		{"shop/data\nkind: Secret", Claim{}, false},
	} {
		c, err := ParseClaim(test.text)
		if c != test.want || (err == nil) != test.ok {
			t.Errorf("%q is read as %+v: %v", test.text, c, err)
		}
	}
}
