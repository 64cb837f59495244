package faultmatrix

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/pkg/admin"
	pools "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestGlob has directories that a glob found vanish and return. They stay known,
// whether the program is restarted meanwhile or not.
func TestGlob(t *testing.T) {
	t.Parallel()
	s := layout(t, "")
	a, b, c := filepath.Join(s.Base, "a"), filepath.Join(s.Base, "b"), filepath.Join(s.Base, "c")
	lost := filepath.Join(s.Base, "lost+found")
	away := s.Base + ".away"
	for _, dir := range []string{a, b, lost} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]", s.Base+"/*"))
	s.run(t)
	want := func(states map[string]admin.DiskState) func() bool {
		return func() bool {
			got := map[string]admin.DiskState{}
			for path, d := range s.disks(t) {
				if got[path] = d.State; d.State == admin.Unusable && d.Reason != admin.Reason(pools.Absent) {
					got[path] = admin.DiskState(d.Reason)
				}
			}
			return maps.Equal(states, got)
		}
	}
	const within = 20 * time.Second // it looks every ten seconds
	await(t, "two disks, and no lost+found", within, want(map[string]admin.DiskState{a: admin.Ready, b: admin.Ready}))
	id := s.create(t, "pvc-1")
	there := slices.Sorted(maps.Keys(tree(t, a)))
	if !slices.Contains(there, filepath.Join(a, "volumes/pvc-1")) {
		t.Fatalf("the volume is not on the first of two equal disks: %q", there)
	}
	write(t, filepath.Join(a, "volumes/pvc-1/data/precious"), "written before")

	if err := os.Rename(a, away); err != nil {
		t.Fatal(err)
	}
	absent := want(map[string]admin.DiskState{a: admin.Unusable, b: admin.Ready})
	await(t, "the directory that vanished is an absent disk", within, absent)
	if n := s.disks(t)[a].Volumes; n != 1 {
		t.Errorf("the absent disk is said to have %d volumes", n)
	}
	target := s.target("target")
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.Unavailable)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.Unavailable)
	if err := os.Rename(away, a); err != nil {
		t.Fatal(err)
	}
	await(t, "the disk is back", within, want(map[string]admin.DiskState{a: admin.Ready, b: admin.Ready}))
	plugin.WantCode(t, "publish", s.Publish(s.ctx, id, target), codes.OK)
	wantContent(t, filepath.Join(target, "precious"), "written before")
	plugin.WantCode(t, "unpublish", s.Unpublish(s.ctx, id, target), codes.OK)

	s.stop(t)
	if err := os.Rename(a, away); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	await(t, "the disk is absent after a restart", within, absent)
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.Unavailable)
	if err := os.Rename(away, a); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c, 0o700); err != nil {
		t.Fatal(err)
	}
	await(t, "the disk is back, and another one new", within, want(map[string]admin.DiskState{a: admin.Ready, b: admin.Ready, c: admin.Ready}))
	plugin.WantCode(t, "delete", s.Delete(s.ctx, id), codes.OK)
	if diff := cmp.Diff([]string{lost}, slices.Sorted(maps.Keys(tree(t, lost)))); diff != "" {
		t.Errorf("lost+found was taken for a disk (-want +got):\n%s", diff)
	}
}
