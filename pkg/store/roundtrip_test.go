package store

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/config"
)

// TestDeleteUndelete deletes volumes and brings them back, in any order and under
// any of their names, with restarts in between. In the end all is as it was: the
// records, the data, what is allocated and the links for people.
func TestDeleteUndelete(t *testing.T) {
	const volumes, rounds = 12, 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	base := t.TempDir()
	s := keeping(t, base, "trashTTL: 24h")
	ids := make([]string, volumes)
	for i := range ids {
		req := CreateRequest{
			Name: fmt.Sprintf("pvc-%d", i), PersistentVolume: fmt.Sprintf("of-%d", i), RequiredBytes: mebibyte << random.IntN(4),
			Class: config.Class{Pool: config.DefaultPool, Mode: "0750", UID: uint32(i), Quota: config.QuotaAuto},
		}
		if i%4 > 0 { // two claims have several volumes, and some volumes have none
			req.Claim = Claim{"shop", fmt.Sprintf("data-%d", i%4)}
		}
		if random.IntN(2) == 0 {
			req.MountOptions = []string{"noatime"}
		}
		v := mustCreate(t, s, req)
		ids[i] = v.ID
		writeFile(t, filepath.Join(v.Path, "line"), v.ID)
	}
	before := picture(t, s, base)
	isDeleted := make([]bool, volumes)
	for range rounds {
		i := random.IntN(volumes)
		ref := []string{ids[i], fmt.Sprintf("pvc-%d", i), fmt.Sprintf("of-%d", i)}[random.IntN(3)]
		if isDeleted[i] {
			if v, _, err := s.Undelete(t.Context(), ref); err != nil || v.ID != ids[i] {
				t.Fatalf("undelete of %s brings back %q: %v", ref, v.ID, err)
			}
		} else {
			v, err := s.FindVolume(ref)
			if err != nil || v.ID != ids[i] {
				t.Fatalf("%s is taken for %q: %v", ref, v.ID, err)
			}
			mustDelete(t, s, v.ID)
		}
		isDeleted[i] = !isDeleted[i]
		if random.IntN(10) == 0 {
			s = reopen(t, s)
		}
		live := 0
		for i := range ids {
			_, err := s.FindVolume(ids[i])
			if (err != nil) != isDeleted[i] || len(s.FindDeleted(ids[i])) > 0 && !isDeleted[i] {
				t.Fatalf("volume %s is deleted: %t; it is found: %v", ids[i], isDeleted[i], err)
			}
			if err == nil {
				live++
			}
		}
		if report := mustCheck(t, s, nothingMounted); report.Volumes != live || len(report.Findings) > 0 {
			t.Fatalf("of %d volumes a check finds %d, and %+v", live, report.Volumes, report.Findings)
		}
	}
	for i, id := range ids {
		if isDeleted[i] {
			if _, _, err := s.Undelete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(before, picture(t, s, base)); diff != "" {
		t.Errorf("after the round trip (-before +after):\n%s", diff)
	}
}

// picture is all that can be seen of a disk: files with their content and mode,
// links, and what is allocated.
func picture(t *testing.T, s *Store, base string) map[string]string {
	t.Helper()
	seen := map[string]string{"allocated": fmt.Sprint(s.Status()[0].AllocatedBytes)}
	err := filepath.WalkDir(base, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(content)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + target
		}
		seen[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}
