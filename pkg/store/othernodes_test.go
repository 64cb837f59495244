package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestOtherNodes uses a disk on three nodes, one after the other: it was moved, or
// the machines are clones. The third tells what the others have made.
func TestOtherNodes(t *testing.T) {
	plugin.RequireRoot(t)
	base, etc := t.TempDir(), t.TempDir()
	file := filepath.Join(etc, "config.yaml")
	writeFile(t, file, "pools: [{name: default, paths: ["+base+"], trashTTL: 1h}]")
	var log bytes.Buffer
	var last *Store
	on := func(node string) *Store {
		t.Helper()
		if last != nil {
			last.Release()
		}
		log.Reset()
		ctx := logging(t, &log)
		s, err := Open(ctx, node, file, filepath.Join(etc, node+".json"))
		if err != nil {
			t.Fatal(err)
		}
		s.Look(ctx)
		if last != nil && last.node != node {
			wantRefused(t, s, base, pkgdisk.Owned, "hostdir on node "+last.node+" has used it last")
			plan, err := s.Plan(ctx, Accept, base)
			check(t, err)
			_, err = s.Act(ctx, Accept, base, plan.Token)
			check(t, err)
		}
		for range 2 {
			s.Look(ctx)
		}
		last = s
		return s
	}
	want := func(s *Store, what string, want ...NodeVolumes) {
		t.Helper()
		if diff := cmp.Diff(want, s.Status()[0].OtherNodes); diff != "" {
			t.Errorf("%s: other nodes (-want +got):\n%s", what, diff)
		}
	}
	told := func(what string, n int) {
		t.Helper()
		if got := strings.Count(log.String(), "made on another node"); got != n {
			t.Errorf("%s: it is said %d times that volumes were made elsewhere, want %d:\n%s", what, got, n, &log)
		}
	}

	s := on("worker-1")
	var first []string
	for i := range 4 {
		first = append(first, mustCreate(t, s, request(fmt.Sprintf("pvc-%d", i))).ID)
	}
	want(s, "the first node")
	told("the first node", 0)

	s = on("worker-2")
	mustCreate(t, s, request("pvc-4"))
	want(s, "the second node", NodeVolumes{"worker-1", 4})
	told("the second node", 1)

	s = on("worker-3")
	told("the third node", 1)
	wantLine(t, log.String(), `"this disk has volumes that were made on another node`, `{"node":"worker-1","volumes":4},{"node":"worker-2","volumes":1}`, `thisNode="worker-3"`)
	want(s, "the third node", NodeVolumes{"worker-1", 4}, NodeVolumes{"worker-2", 1})
	mustCreate(t, s, request("pvc-5"))
	want(s, "one of its own", NodeVolumes{"worker-1", 4}, NodeVolumes{"worker-2", 1})
	mustDelete(t, s, first[0])
	mustDelete(t, s, first[1])
	mustDelete(t, s, first[2])
	mustDelete(t, s, first[3])
	want(s, "those of the first are deleted", NodeVolumes{"worker-2", 1})
	if _, _, err := s.Undelete(t.Context(), first[0]); err != nil {
		t.Fatal(err)
	}
	want(s, "one is brought back", NodeVolumes{"worker-1", 1}, NodeVolumes{"worker-2", 1})
	for range 2 { // usage and size say nothing of the node
		s.countAll(t.Context())
		if _, err := s.Expand(t.Context(), first[0], 2*mebibyte, 0); err != nil {
			t.Fatal(err)
		}
	}
	want(s, "it grows", NodeVolumes{"worker-1", 1}, NodeVolumes{"worker-2", 1})
	told("the third node, later", 1)

	report, err := s.Check(t.Context(), nothingMounted)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("a check finds %+v (%v)", report.Findings, err)
	}

	// Of what cannot be read nobody knows where it was made.
	writeFile(t, filepath.Join(base, volumesDir, "pvc-0", recordFile), "{")
	s = on("worker-3")
	want(s, "one in quarantine", NodeVolumes{"worker-2", 1})
	if err := os.RemoveAll(filepath.Join(base, volumesDir, "pvc-4")); err != nil {
		t.Fatal(err)
	}
	s = on("worker-3")
	want(s, "all are gone")
	told("all are gone", 0)
}
