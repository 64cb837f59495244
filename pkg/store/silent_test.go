package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	pkgdisk "github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
)

// runStore opens a store and runs it until the test ends.
func runStore(t *testing.T, config string) *Store {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, config)
	s, err := Open(t.Context(), testNode, file, filepath.Join(t.TempDir(), "disks.json"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(2 * endPatience):
			t.Error("the store does not end")
		}
	})
	return s
}

// answers checks that a call returns within a time, and what.
func answers(t *testing.T, what string, within time.Duration, class error, call func() error) {
	t.Helper()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- call() }()
	select {
	case err := <-done:
		if took := time.Since(began); took > within {
			t.Errorf("%s took %s", what, took)
		}
		if class != nil || err != nil {
			wantClass(t, err, class)
		}
	case <-time.After(within + 10*time.Second):
		t.Fatalf("%s does not return", what)
	}
}

// allWork makes all calls there are on a pool, and all that are about no disk alone.
func allWork(t *testing.T, s *Store, pool string) {
	t.Helper()
	const soon = time.Second
	req := request("pvc-of-" + pool)
	req.Class.Pool, req.Claim = pool, Claim{"shop", "data-" + pool}
	var v Volume
	answers(t, "Create", soon, nil, func() (err error) { v, err = s.Create(t.Context(), req); return err })
	answers(t, "Create again", soon, nil, func() error { _, err := s.Create(t.Context(), req); return err })
	answers(t, "WithData", soon, nil, func() error { return s.WithData(t.Context(), v.ID, anyUse) })
	answers(t, "Stats", soon, nil, func() error { _, err := s.Stats(t.Context(), v.ID, anyUse); return err })
	answers(t, "Health", soon, nil, func() error { _, err := s.Health(t.Context(), v.ID); return err })
	answers(t, "Expand", soon, nil, func() error { _, err := s.Expand(t.Context(), v.ID, 2*mebibyte, 0); return err })
	answers(t, "Capacity", soon, nil, func() error {
		if c := s.Capacity(req.Class); c.AvailableBytes == 0 {
			return fmt.Errorf("capacity %+v", c)
		}
		return nil
	})
	answers(t, "Delete", soon, nil, func() error { return s.Delete(t.Context(), v.ID, anyUse) })
	answers(t, "Volumes, Trash, Status, Problems", soon, nil, func() error {
		s.Volumes()
		s.VolumeStatus()
		s.Trash()
		s.Status()
		s.Problems()
		return nil
	})
}

// TestSilentDisk runs a store of which one disk has never answered: the others come
// into use and work as if there were no such disk.
func TestSilentDisk(t *testing.T) {
	t.Parallel()
	silent, a, b := disk.MountSilent(t), mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=16m")
	began := time.Now()
	s := runStore(t, fmt.Sprintf("pools: [{name: hung, paths: [%q]}, {name: a, paths: [%q], trashTTL: 1h}, {name: b, paths: [%q], trashTTL: 1h}]", silent, a, b))
	if took := time.Since(began); took > time.Second {
		t.Errorf("the store was open after %s", took)
	}
	for len(s.inUse()) < 2 {
		if time.Since(began) > 2*time.Second+decideGrace {
			t.Fatalf("the healthy disks are not in use: %+v", s.Status())
		}
		time.Sleep(10 * time.Millisecond)
	}
	allWork(t, s, "a")
	allWork(t, s, "b")
	answers(t, "Undelete", time.Second, nil, func() error { _, _, err := s.Undelete(t.Context(), "pvc-of-a"); return err })
	answers(t, "Purge", time.Second, nil, func() error { _, err := s.Purge(t.Context(), "pvc-of-b"); return err })
	answers(t, "Check", 2*time.Second, nil, func() error {
		report, err := s.Check(t.Context(), nothingMounted)
		if len(report.Findings) != 1 || report.Findings[0].Kind != DiskUnusable {
			t.Errorf("findings %+v, want that one disk cannot be used", report.Findings)
		}
		return err
	})
	answers(t, "Plan for a healthy disk", time.Second, nil, func() error {
		_, err := s.Plan(t.Context(), Accept, a)
		t.Logf("a plan for a disk that is well: %v", err)
		return nil
	})

	// The silent one is refused at once, and nobody counts on it.
	if c := s.Capacity(config.Class{Pool: "hung"}); c != (Capacity{}) {
		t.Errorf("capacity %+v of a disk that does not answer", c)
	}
	req := request("pvc-hung")
	req.Class.Pool = "hung"
	answers(t, "Create on the silent disk", time.Second, errdefs.ErrNoSpace, func() error { _, err := s.Create(t.Context(), req); return err })
	answers(t, "Delete of a volume that may be there", time.Second, errdefs.ErrUnavailable, func() error {
		return s.Delete(t.Context(), "00000000-0000-4000-8000-000000000000.pvc-1", anyUse)
	})
	answers(t, "an action on the silent disk", lookPatience+2*time.Second, errdefs.ErrUnavailable, func() error {
		_, err := s.Plan(t.Context(), Accept, silent)
		return err
	})
	for s.Status()[0].Reason != pkgdisk.Unresponsive {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the silent disk is %+v", s.Status()[0])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestDiskFallsSilent has a disk stop answering while it is in use: whoever calls on
// it gets an answer in the end, and nobody else notices.
func TestDiskFallsSilent(t *testing.T) {
	t.Parallel()
	silent := disk.MountSilent(t)
	a, b := mountTmpfs(t, "size=16m"), mountTmpfs(t, "size=16m")
	s := runStore(t, fmt.Sprintf("pools: [{name: a, paths: [%q]}, {name: b, paths: [%q]}]", a, b))
	for began := time.Now(); len(s.inUse()) < 2; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("disks %+v", s.Status())
		}
	}
	req := request("pvc-1")
	req.Class.Pool = "a"
	v := mustCreate(t, s, req)
	if err := unix.Mount(silent, a, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(a, unix.MNT_DETACH) })

	results := make(chan error)
	calls := map[string]func() error{
		"WithData": func() error { return s.WithData(t.Context(), v.ID, anyUse) },
		"Stats":    func() error { _, err := s.Stats(t.Context(), v.ID, anyUse); return err },
		"Create":   func() error { r := req; r.Name = "pvc-2"; _, err := s.Create(t.Context(), r); return err },
	}
	began := time.Now()
	for _, call := range calls {
		go func() { results <- call() }()
	}
	for range 40 { // more than there are places
		ctx := soon(t, 100*time.Millisecond)
		go s.Volume(ctx, v.ID)
	}
	allWork(t, s, "b")
	for range calls {
		select {
		case err := <-results:
			if took := time.Since(began); took > lookPatience+5*time.Second {
				t.Errorf("a call on the silent disk took %s", took)
			}
			if err == nil {
				t.Error("a call on the silent disk succeeded")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a call on the silent disk does not return")
		}
	}
	if status := s.Status()[0]; status.Reason != pkgdisk.Unresponsive || status.Volumes != 1 {
		t.Errorf("the silent disk is %+v", status)
	}
	for name, call := range calls {
		answers(t, name+" on a disk that is known to be silent", time.Second, map[bool]error{true: errdefs.ErrNoSpace, false: errdefs.ErrUnavailable}[name == "Create"], call)
	}
	answers(t, "Health", time.Second, nil, func() error {
		problems, err := s.Health(t.Context(), v.ID)
		if len(problems) != 1 || problems[0].Severity != Inaccessible {
			t.Errorf("problems %+v", problems)
		}
		return err
	})
	answers(t, "Delete", time.Second, errdefs.ErrUnavailable, func() error { return s.Delete(t.Context(), v.ID, anyUse) })
	answers(t, "Check", time.Second, nil, func() error { _, err := s.Check(t.Context(), nothingMounted); return err })
	allWork(t, s, "b")
}
