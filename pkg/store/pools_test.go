package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestTwoPools(t *testing.T) {
	bulk, fast := t.TempDir(), t.TempDir()
	s := openStore(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}, {name: fast, paths: [%q]}]", bulk, fast))
	req := request("pvc-fast")
	req.Class.Pool = "fast"
	v := mustCreate(t, s, req)
	if want := filepath.Join(fast, volumesDir, "pvc-fast", dataDir); v.Path != want {
		t.Errorf("the volume is at %s, want %s", v.Path, want)
	}
	mustCreate(t, s, request("pvc-bulk"))
	wantNames(t, filepath.Join(bulk, volumesDir), "pvc-bulk")
	req.Name, req.Class.Pool = "pvc-nowhere", "archive"
	_, err := s.Create(t.Context(), req)
	wantClass(t, err, errdefs.ErrNoSpace)
	if c := s.Capacity(config.Class{Pool: "archive"}); c != (Capacity{}) {
		t.Errorf("capacity of a pool that is not here: %+v", c)
	}
}

// TestCopiedPool copies a disk, marker and all, to another disk.
func TestCopiedPool(t *testing.T) {
	plugin.RequireRoot(t)
	original, replacement := disk.Mount(t, "ext4", 16*mebibyte), disk.Mount(t, "ext4", 16*mebibyte)
	v := mustCreate(t, openStore(t, onePool(original)), request("pvc-1"))
	if out, err := exec.Command("cp", "-a", original+"/.", replacement).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	before := filesOf(t, replacement)
	s := openStore(t, onePool(replacement))
	wantUnusable(t, s, v.ID)
	if err := brokenBecause(t, s); err == nil || !strings.Contains(err.Error(), "made on another filesystem") {
		t.Errorf("error %v, want one that says that the disk was copied", err)
	}
	if after := filesOf(t, replacement); after != before {
		t.Errorf("the copy was %q, and is %q", before, after)
	}
}

// TestOnePoolAtTwoPaths shows the same directory twice. It must be used at one
// path only, and what is being built there left alone.
func TestOnePoolAtTwoPaths(t *testing.T) {
	for _, test := range []struct {
		name string
		show func(t *testing.T, base, alias string)
	}{
		{"by a link", func(t *testing.T, base, alias string) {
			if err := os.Symlink(base, alias); err != nil {
				t.Fatal(err)
			}
		}},
		{"by a bind mount", func(t *testing.T, base, alias string) {
			plugin.RequireRoot(t)
			mkdirAll(t, alias)
			bindMount(t, base, alias)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			base, alias := t.TempDir(), filepath.Join(t.TempDir(), "alias")
			v := mustCreate(t, openStore(t, onePool(base)), request("pvc-1"))
			test.show(t, base, alias)
			s := openStore(t, onePool(base, alias))
			building := filepath.Join(base, volumesDir, newPrefix+"pvc-2")
			mkdirAll(t, building)
			s.refresh(t.Context())
			if _, err := os.Stat(building); err != nil {
				t.Errorf("what is being built is gone: %v", err)
			}
			status := s.Status()
			if len(status) != 2 || status[0].Err != nil || status[1].Err == nil || !strings.Contains(status[1].Err.Error(), base) {
				t.Errorf("status %+v, want the first to be used, and the second to name it", status)
			}
			if n := len(s.Volumes()); n != 1 {
				t.Errorf("%d volumes are listed, want 1", n)
			}
			mustDelete(t, s, v.ID)
		})
	}
}

// TestPoolMoves finds a disk at another path of the configuration while the
// program runs.
func TestPoolMoves(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	mkdirAll(t, from)
	s := openStore(t, onePool(from, to))
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	moved, err := s.Volume(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(to, volumesDir, "pvc-1", dataDir); moved.Path != want {
		t.Errorf("the volume is at %s, want %s", moved.Path, want)
	}
	if again := mustCreate(t, s, request("pvc-1")); again.Path != moved.Path {
		t.Errorf("created again it is at %s, want %s", again.Path, moved.Path)
	}
	mustDelete(t, s, v.ID)
	wantNames(t, filepath.Join(to, volumesDir))
}

func TestGlob(t *testing.T) {
	disks := t.TempDir()
	for _, name := range []string{"nvme0", "nvme1", "sda"} {
		mkdirAll(t, filepath.Join(disks, name))
	}
	s := openStore(t, onePool(filepath.Join(disks, "nvme*"), filepath.Join(disks, "nvme1")))
	wantBases := func(want ...string) {
		t.Helper()
		var got []string
		for _, b := range s.Status() {
			if b.Err != nil {
				t.Errorf("%s: %v", b.Path, b.Err)
			}
			got = append(got, filepath.Base(b.Path))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("disks %v, want %v", got, want)
		}
	}
	wantBases("nvme0", "nvme1")
	mkdirAll(t, filepath.Join(disks, "nvme2"))
	s.refresh(t.Context())
	wantBases("nvme0", "nvme1", "nvme2")
	wantNames(t, filepath.Join(disks, "sda"))
}

func TestReload(t *testing.T) {
	s, _ := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	good, err := os.ReadFile(s.configFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, config string }{
		{"gone", ""},
		{"not YAML", "pools: ["},
		{"an unknown field", string(good) + "\npolls: []"},
		{"no pool", "pools: []"},
		{"no pool for this node", string(good) + "\nnodes: [{match: [node-1]}]"},
	} {
		t.Run("bad: "+test.name, func(t *testing.T) {
			if err := os.Remove(s.configFile); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if test.config != "" {
				writeFile(t, s.configFile, test.config)
			}
			s.reload(t.Context())
			s.refresh(t.Context())
			if s.configErr == "" {
				t.Error("the store does not know that its configuration is bad")
			}
			if _, err := s.Volume(t.Context(), v.ID); err != nil {
				t.Errorf("the last good configuration is not in force: %v", err)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		more := t.TempDir()
		writeFile(t, s.configFile, strings.Replace(string(good), "pools: [", fmt.Sprintf("pools: [{name: fast, paths: [%q]}, ", more), 1))
		s.reload(t.Context())
		s.refresh(t.Context())
		if s.configErr != "" {
			t.Errorf("the configuration is refused: %s", s.configErr)
		}
		req := request("pvc-2")
		req.Class.Pool = "fast"
		mustCreate(t, s, req)
		if _, err := s.Volume(t.Context(), v.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("without the pool", func(t *testing.T) {
		writeFile(t, s.configFile, onePool(t.TempDir()))
		s.reload(t.Context())
		s.refresh(t.Context())
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrWrongNode)
	})
}
