package quota_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostdir/hostdir/pkg/quota"
)

// TestSubvolumePath looks for subvolumes by their ID, and removes none that is
// somewhere.
func TestSubvolumePath(t *testing.T) {
	mount := btrfs(t, enableFull)
	top := open(t, mount)
	defer top.Close()
	q, err := quota.Detect(top)
	if err != nil {
		t.Fatal(err)
	}
	create := func(path string) quota.ID {
		t.Helper()
		parent := open(t, filepath.Dir(filepath.Join(mount, path)))
		defer parent.Close()
		id, err := q.Create(parent, filepath.Base(path), 0)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	outer := create("outer")
	if err := os.MkdirAll(filepath.Join(mount, "outer/a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	inner := create("outer/a/b/inner")
	removed := create("removed")
	if err := os.Remove(filepath.Join(mount, "removed")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		id   quota.ID
		want string
	}{
		{"at the top", outer, "outer"},
		{"in another subvolume", inner, "outer/a/b/inner"},
		{"removed a moment ago", removed, ""},
		{"never made", inner + 1000, ""},
	} {
		if got, err := quota.SubvolumePath(top, test.id); err != nil || got != test.want {
			t.Errorf("%s: SubvolumePath() = %q, %v, want %q", test.name, got, err, test.want)
		}
	}

	dir := open(t, filepath.Join(mount, "outer/a/b/inner"))
	defer dir.Close()
	limit := quota.Limit{Bytes: 16 << 20}
	if err := q.Set(dir, inner, limit); err != nil {
		t.Fatal(err)
	}
	if err := q.Remove(top, inner); err != nil {
		t.Errorf("Remove of one that is there: %v", err)
	}
	if got, _, err := q.Get(dir, inner); err != nil || got != limit {
		t.Errorf("after that its limit is %+v, %v, want %+v", got, err, limit)
	}
}
