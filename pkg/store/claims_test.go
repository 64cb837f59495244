package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

var www = Claim{"shop", "www-web-0"}

// createFor makes a volume for a claim.
func createFor(t *testing.T, s *Store, name string, c Claim) Volume {
	t.Helper()
	req := request(name)
	req.Claim = c
	return mustCreate(t, s, req)
}

// wantLink checks that a claim's link leads to the volume's data.
func wantLink(t *testing.T, base string, c Claim, v Volume) {
	t.Helper()
	got, err := filepath.EvalSymlinks(filepath.Join(base, claimsDir, c.Namespace, c.Name))
	if err != nil {
		t.Error(err)
		return
	}
	if want, _ := filepath.EvalSymlinks(v.Path); got != want {
		t.Errorf("claim %s leads to %s, want %s", c, got, want)
	}
}

func TestClaimLinks(t *testing.T) {
	s, base := newStore(t)
	claims := filepath.Join(base, claimsDir)
	mustCreate(t, s, request("pvc-nobodys"))
	wantNames(t, claims)

	first := createFor(t, s, "pvc-1", www)
	other := createFor(t, s, "pvc-2", Claim{"shop", "www-web-1"})
	wantLink(t, base, www, first)

	second := createFor(t, s, "pvc-3", www)
	wantLink(t, base, www, second)
	mustDelete(t, s, first.ID)
	wantLink(t, base, www, second)

	mustDelete(t, s, second.ID)
	wantNames(t, filepath.Join(claims, "shop"), "www-web-1")

	older, newer := createFor(t, s, "pvc-4", www), createFor(t, s, "pvc-5", www)
	mustDelete(t, s, newer.ID)
	wantLink(t, base, www, older)
	mustDelete(t, s, older.ID)
	wantNames(t, filepath.Join(claims, "shop"), "www-web-1")
	mustDelete(t, s, other.ID)
	wantNames(t, claims)
}

// TestClaimLinkOfUndeleted brings back an older volume of a claim.
func TestClaimLinkOfUndeleted(t *testing.T) {
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 1h")
	older, newer := createFor(t, s, "pvc-1", www), createFor(t, s, "pvc-2", www)
	mustDelete(t, s, older.ID)
	if _, _, err := s.Undelete(t.Context(), "pvc-1"); err != nil {
		t.Fatal(err)
	}
	wantLink(t, base, www, newer)
	mustDelete(t, s, newer.ID)
	wantLink(t, base, www, older)
	if _, _, err := s.Undelete(t.Context(), "pvc-2"); err != nil {
		t.Fatal(err)
	}
	wantLink(t, base, www, newer)
}

func TestClaimLinksPutRightAtStart(t *testing.T) {
	link := func(base string, c Claim) string { return filepath.Join(base, claimsDir, c.Namespace, c.Name) }
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	symlink := func(t *testing.T, to, path string) {
		t.Helper()
		mkdirAll(t, filepath.Dir(path))
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("missing", func(t *testing.T) {
		s, base := newStore(t)
		v := createFor(t, s, "pvc-1", www)
		remove(t, link(base, www))
		reopen(t, s)
		wantLink(t, base, www, v)
	})
	t.Run("of a volume that is gone", func(t *testing.T) {
		s, base := newStore(t)
		symlink(t, linkTarget("pvc-gone"), link(base, www))
		reopen(t, s)
		wantNames(t, filepath.Join(base, claimsDir))
	})
	t.Run("of a volume that was made again for another claim", func(t *testing.T) {
		s, base := newStore(t)
		v := createFor(t, s, "pvc-1", www)
		symlink(t, linkTarget("pvc-1"), link(base, Claim{"shop", "www-web-1"}))
		reopen(t, s)
		wantNames(t, filepath.Join(base, claimsDir, "shop"), "www-web-0")
		wantLink(t, base, www, v)
	})
	t.Run("of an older volume of the claim", func(t *testing.T) {
		s, base := newStore(t)
		createFor(t, s, "pvc-older", www)
		newer := createFor(t, s, "pvc-newer", www)
		remove(t, link(base, www))
		symlink(t, linkTarget("pvc-older"), link(base, www))
		reopen(t, s)
		wantLink(t, base, www, newer)
	})
	t.Run("made by people", func(t *testing.T) {
		s, base := newStore(t)
		v := createFor(t, s, "pvc-1", www)
		mine := link(base, Claim{"notes", "mine"})
		symlink(t, "/etc", mine)
		writeFile(t, link(base, Claim{"notes", "file"}), "")
		writeFile(t, filepath.Join(base, claimsDir, "README"), "")
		symlink(t, "shop", filepath.Join(base, claimsDir, "alias"))
		reopen(t, s)
		wantNames(t, filepath.Join(base, claimsDir), "README", "alias", "notes", "shop")
		wantNames(t, filepath.Join(base, claimsDir, "notes"), "file", "mine")
		wantLink(t, base, www, v)
	})
	t.Run("interrupted", func(t *testing.T) {
		s, base := newStore(t)
		symlink(t, linkTarget("pvc-crashed"), link(base, Claim{"shop", linkNew}))
		createFor(t, s, "pvc-1", www)
		wantNames(t, filepath.Join(base, claimsDir, "shop"), "www-web-0")
	})
}

// TestClaimLinksHarmNobody lets volumes come and go while claims/ is none.
func TestClaimLinksHarmNobody(t *testing.T) {
	plugin.RequireRoot(t)
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, claims string)
	}{
		{"claims is gone", func(t *testing.T, claims string) {
			if err := os.RemoveAll(claims); err != nil {
				t.Fatal(err)
			}
		}},
		{"claims is a file", func(t *testing.T, claims string) {
			if err := os.RemoveAll(claims); err != nil {
				t.Fatal(err)
			}
			writeFile(t, claims, "")
		}},
		{"claims cannot be written", func(t *testing.T, claims string) { setImmutable(t, claims) }},
		{"the namespace is a file", func(t *testing.T, claims string) {
			if err := os.RemoveAll(filepath.Join(claims, www.Namespace)); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(claims, www.Namespace), "")
		}},
		{"the claim is a directory", func(t *testing.T, claims string) {
			if err := os.RemoveAll(filepath.Join(claims, www.String())); err != nil {
				t.Fatal(err)
			}
			mkdirAll(t, filepath.Join(claims, www.String(), "precious"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, base := newStore(t)
			before := createFor(t, s, "pvc-before", www)
			test.spoil(t, filepath.Join(base, claimsDir))
			s = reopen(t, s)
			if err := brokenBecause(t, s); err != nil {
				t.Fatal(err)
			}
			after := createFor(t, s, "pvc-after", www)
			for _, v := range []Volume{before, after} {
				if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
					t.Error(err)
				}
				mustDelete(t, s, v.ID)
			}
			wantNames(t, filepath.Join(base, volumesDir))
		})
	}
}

func TestClaimNames(t *testing.T) {
	s, base := newStore(t)
	for _, test := range []struct {
		name  string
		claim Claim
		want  error
	}{
		{"none", Claim{}, nil},
		{"dots inside", Claim{"shop", "www.web.0"}, nil},
		{"two dots", Claim{"shop", ".."}, errdefs.ErrInvalid},
		{"a path", Claim{"shop", "www/web"}, errdefs.ErrInvalid},
		{"the name of a new link", Claim{"shop", linkNew}, errdefs.ErrInvalid},
		{"a namespace upwards", Claim{"..", "www"}, errdefs.ErrInvalid},
		{"no namespace", Claim{"", "www"}, errdefs.ErrInvalid},
		{"no name", Claim{"shop", ""}, errdefs.ErrInvalid},
		{"a newline", Claim{"shop", "www\n"}, errdefs.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := request("pvc-1")
			req.Claim = test.claim
			v, err := s.Create(t.Context(), req)
			wantClass(t, err, test.want)
			if err == nil {
				mustDelete(t, s, v.ID)
			}
			wantNames(t, filepath.Join(base, claimsDir))
		})
	}
}

// TestLinkWithoutName clears away a link that a power cut has kept from getting its
// name, also where the claim that it was for has no volume any more.
func TestLinkWithoutName(t *testing.T) {
	s, base := newStore(t)
	req := request("pvc-1")
	req.Claim = www
	mustCreate(t, s, req)
	for _, namespace := range []string{www.Namespace, "gone"} {
		dir := filepath.Join(base, claimsDir, namespace)
		mkdirAll(t, dir)
		symlink(t, linkTarget("pvc-2"), filepath.Join(dir, linkNew))
	}
	s = reopen(t, s)
	wantNames(t, filepath.Join(base, claimsDir), www.Namespace)
	wantNames(t, filepath.Join(base, claimsDir, www.Namespace), www.Name)
	for _, f := range mustCheck(t, s, nothingMounted).Findings {
		t.Errorf("check finds %+v", f)
	}
}
