package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pkgdisk "github.com/hostdir/hostdir/pkg/disk"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// obey gives an order as an operator does: plan, look, do.
func obey(t *testing.T, s *Store, order pkgdisk.Action, path string) ActResult {
	t.Helper()
	before := filesOf(t, path)
	plan, err := s.Plan(t.Context(), order, path)
	if err != nil {
		t.Fatal(err)
	}
	if after := filesOf(t, path); after != before {
		t.Errorf("the plan alone has changed %q to %q", before, after)
	}
	done, err := s.Act(t.Context(), order, path, plan.Token)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// wantOrderRefused gives an order that must be refused and change nothing.
func wantOrderRefused(t *testing.T, s *Store, order pkgdisk.Action, path, says string) {
	t.Helper()
	before := filesOf(t, path)
	_, err := s.Plan(t.Context(), order, path)
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s is refused with %v, want %q", order, err, says)
	}
	if _, err := s.Act(t.Context(), order, path, ""); err == nil {
		t.Errorf("%s is carried out without its plan", order)
	}
	if after := filesOf(t, path); after != before {
		t.Errorf("the directory was %q, and is %q", before, after)
	}
}

func TestOrderRefused(t *testing.T) {
	empty := func(*testing.T, string) {}
	pool := func(t *testing.T, base string) { openStore(t, onePool(base)) }
	for _, test := range []struct {
		name   string
		order  pkgdisk.Action
		lay    func(t *testing.T, base string)
		config func(base string) string
		says   string
	}{
		{"init a path that is not configured", Init, empty, func(string) string { return onePool("/nonexistent/pool") }, "no pool of this node has the disk"},
		{"accept a path that is not configured", Accept, pool, func(string) string { return onePool("/nonexistent/pool") }, "no pool of this node has the disk"},
		{"init what is not there", Init, func(t *testing.T, base string) {
			if err := os.Remove(base); err != nil {
				t.Fatal(err)
			}
		}, nil, "not there"},
		{"init a directory with files", Init, func(t *testing.T, base string) { writeFile(t, filepath.Join(base, "photo"), "") }, nil, `"photo"`},
		{"init a pool", Init, pool, nil, "already"},
		{"init where no disk is mounted", Init, empty, guardedPool, "no disk is mounted there"},
		{"accept a pool that is in use", Accept, pool, nil, "nothing to accept"},
		{"accept where no disk is mounted", Accept, pool, guardedPool, "no disk is mounted there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin.RequireRoot(t)
			base := filepath.Join(t.TempDir(), "pool")
			mkdirAll(t, base)
			test.lay(t, base)
			config := func(base string) string { return onePool(base) }
			if test.config != nil {
				config = test.config
			}
			wantOrderRefused(t, openStore(t, config(base)), test.order, base, test.says)
		})
	}
}

// TestPlanOutOfDate exchanges the disk between the question and the answer.
func TestPlanOutOfDate(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	mustUnmount(t, base)
	disk.MountImage(t, smallImage(t), base)
	plan, err := s.Plan(t.Context(), Init, base)
	if err != nil {
		t.Fatal(err)
	}
	mustUnmount(t, base) // fell off
	if _, err := s.Act(t.Context(), Init, base, plan.Token); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("error %v, want one that says that nothing was changed", err)
	}
	wantNames(t, base)
}

// TestOrderFails gives orders for disks that take no writes.
func TestOrderFails(t *testing.T) {
	plugin.RequireRoot(t)
	base, elsewhere := t.TempDir(), t.TempDir()
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	copied := smallImage(t)
	disk.MountImage(t, copied, elsewhere)
	copyTree(t, base, elsewhere)
	mustUnmount(t, base)
	mustUnmount(t, elsewhere)
	for order, image := range map[pkgdisk.Action]string{Init: smallImage(t), Accept: copied} {
		t.Run(string(order), func(t *testing.T) {
			disk.MountImage(t, image, base)
			remount(t, base, unix.MS_RDONLY, "")
			plan, err := s.Plan(t.Context(), order, base)
			if err != nil {
				t.Fatal(err)
			}
			before := filesOf(t, base)
			if _, err := s.Act(t.Context(), order, base, plan.Token); err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("error %v, want one that says read-only", err)
			}
			if after := filesOf(t, base); after != before {
				t.Errorf("the directory was %q, and is %q", before, after)
			}
			remount(t, base, 0, "")
			s.refresh(t.Context()) // an order that failed is over
			wantUnusable(t, s, v.ID)
			mustUnmount(t, base)
		})
	}
}

// TestOrderNotWrittenDown is carried out all the same, and the operator is told.
func TestOrderNotWrittenDown(t *testing.T) {
	plugin.RequireRoot(t)
	base := t.TempDir()
	disk.MountImage(t, smallImage(t), base)
	s := openStore(t, onePool(base))
	if err := os.RemoveAll(filepath.Dir(s.history.File())); err != nil {
		t.Fatal(err)
	}
	mustUnmount(t, base)
	disk.MountImage(t, smallImage(t), base)
	if done := obey(t, s, Init, base); done.PersistErr == nil {
		t.Error("the operator is not told that a restart will ask again")
	}
	mustCreate(t, s, request("pvc-1"))
}
