package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestCreateAgainIsTheSame(t *testing.T) {
	s, base := newStore(t)
	req := request("pvc-1")
	req.Claim, req.PersistentVolume = Claim{"shop", "www-web-0"}, "pvc-1"
	first := mustCreate(t, s, req)
	if diff := cmp.Diff(first, mustCreate(t, s, req), ignoreCount); diff != "" {
		t.Errorf("the same store (-first +again):\n%s", diff)
	}
	if diff := cmp.Diff(first, mustCreate(t, reopen(t, s), req), ignoreCount); diff != "" {
		t.Errorf("a reopened store (-first +again):\n%s", diff)
	}
	wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
	wantNames(t, filepath.Join(base, trashDir))
}

func TestCreateIncompatible(t *testing.T) {
	s, _ := newStore(t)
	twoMebibytes := request("pvc-1")
	twoMebibytes.RequiredBytes = 2 * mebibyte
	mustCreate(t, s, twoMebibytes)
	for _, test := range []struct {
		name   string
		change func(*CreateRequest)
		want   error
	}{
		{"a range around it", func(r *CreateRequest) { r.RequiredBytes, r.LimitBytes = mebibyte, 3*mebibyte }, nil},
		{"larger", func(r *CreateRequest) { r.RequiredBytes++ }, errdefs.ErrConflict},
		{"smaller", func(r *CreateRequest) { r.RequiredBytes, r.LimitBytes = 0, 2*mebibyte-1 }, errdefs.ErrConflict},
		{"other mode", func(r *CreateRequest) { r.Class.Mode = "0700" }, errdefs.ErrConflict},
		{"other owner", func(r *CreateRequest) { r.Class.UID = 1 }, errdefs.ErrConflict},
		{"other pool", func(r *CreateRequest) { r.Class.Pool = "nvme" }, errdefs.ErrConflict},
		{"other claim", func(r *CreateRequest) { r.Claim = Claim{"shop", "www-web-1"} }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := twoMebibytes
			test.change(&req)
			_, err := s.Create(t.Context(), req)
			wantClass(t, err, test.want)
		})
	}
}

func TestCreateMakesDirectory(t *testing.T) {
	plugin.RequireRoot(t)
	s, base := newStore(t)
	req := request("pvc-1")
	req.Class = config.Class{Pool: config.DefaultPool, Mode: "2770", UID: 1000, GID: 2000}
	v := mustCreate(t, s, req)
	for _, test := range []struct {
		path     string
		mode     os.FileMode
		uid, gid uint32
	}{
		{base, os.ModeDir | 0o700, 0, 0},
		{filepath.Join(base, markerFile), 0o600, 0, 0},
		{filepath.Join(base, volumesDir), os.ModeDir | 0o700, 0, 0},
		{filepath.Join(base, volumesDir, "pvc-1"), os.ModeDir | 0o700, 0, 0},
		{filepath.Join(base, volumesDir, "pvc-1", recordFile), 0o600, 0, 0},
		{v.Path, os.ModeDir | os.ModeSetgid | 0o770, 1000, 2000},
	} {
		info, err := os.Lstat(test.path)
		if err != nil {
			t.Error(err)
			continue
		}
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode() != test.mode || owner.Uid != test.uid || owner.Gid != test.gid {
			t.Errorf("%s: %s %d:%d, want %s %d:%d", test.path, info.Mode(), owner.Uid, owner.Gid, test.mode, test.uid, test.gid)
		}
	}
}

// TestRecordFormat holds the names in volume.json: disks that were written with
// them are read by every later release.
func TestRecordFormat(t *testing.T) {
	s, base := newStore(t)
	req := request("PVC 1")
	req.Claim, req.PersistentVolume = Claim{"shop", "www-web-0"}, "pvc-0"
	req.Class = config.Class{Pool: config.DefaultPool, Mode: "0750", UID: 1, GID: 2, Quota: config.QuotaAuto}
	v := mustCreate(t, s, req)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(v.Path), recordFile))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version":          1.0,
		"id":               v.ID,
		"name":             "PVC 1",
		"capacityBytes":    float64(mebibyte),
		"class":            map[string]any{"pool": "default", "mode": "0750", "uid": 1.0, "gid": 2.0, "quota": "auto"},
		"node":             testNode,
		"claim":            map[string]any{"namespace": "shop", "name": "www-web-0"},
		"persistentVolume": "pvc-0",
		"created":          got["created"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("volume.json (-want +got):\n%s", diff)
	}
	wantNames(t, base, claimsDir, markerFile, ownerFile, trashDir, volumesDir)
}

func TestCreateSize(t *testing.T) {
	for _, test := range []struct {
		name            string
		required, limit int64
		want            int64
		wantErr         error
	}{
		{"none asked", 0, 0, DefaultCapacity, nil},
		{"required", 5 * mebibyte, 0, 5 * mebibyte, nil},
		{"required and limit", 5 * mebibyte, 6 * mebibyte, 5 * mebibyte, nil},
		{"a small limit", 0, 6 * mebibyte, 6 * mebibyte, nil},
		{"no multiple of a block", 5*mebibyte + 1, 0, 5*mebibyte + 1, nil},
		{"the smallest", MinCapacity, MinCapacity, MinCapacity, nil},
		{"below the smallest", MinCapacity - 1, 0, MinCapacity, nil},
		{"far below the smallest", slip, 0, MinCapacity, nil},
		{"a limit below the smallest", 0, MinCapacity - 1, 0, errdefs.ErrOutOfRange},
		{"both below the smallest", slip, MinCapacity - 1, 0, errdefs.ErrOutOfRange},
		{"500m", 1, 0, 0, errdefs.ErrInvalid},
		{"10 without a suffix", 10, 0, 0, errdefs.ErrInvalid},
		{"just a slip", slip - 1, 0, 0, errdefs.ErrInvalid},
		{"a slip with a limit", 1, 1, 0, errdefs.ErrInvalid},
		{"a large limit", 0, 2 * DefaultCapacity, DefaultCapacity, nil},
		{"required above the limit", 6, 5, 0, errdefs.ErrOutOfRange},
		{"negative", -1, 0, 0, errdefs.ErrInvalid},
		{"negative limit", 0, -1, 0, errdefs.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got, err := CreateRequest{Name: "pvc-1", RequiredBytes: test.required, LimitBytes: test.limit}.check()
			wantClass(t, err, test.wantErr)
			if got != test.want {
				t.Errorf("capacity %d, want %d", got, test.want)
			}
		})
	}
}

func TestCreateOneNameAtOnce(t *testing.T) {
	const calls = 50
	s, base := newStore(t)
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() { _, errs[i] = s.Create(t.Context(), request("pvc-1")) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, errdefs.ErrBusy):
			t.Errorf("error %v, want none or %v", err, errdefs.ErrBusy)
		}
	}
	if made == 0 {
		t.Error("no call got the volume")
	}
	mustCreate(t, s, request("pvc-1"))
	wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
	wantNames(t, filepath.Join(base, trashDir))
}

func TestCreateManyAtOnce(t *testing.T) {
	const volumes = 200
	s, base := newStore(t)
	paths := make([]string, volumes)
	var wg sync.WaitGroup
	for i := range volumes {
		wg.Go(func() {
			req := request(fmt.Sprintf("pvc-%d", i))
			req.Claim = Claim{"shop", fmt.Sprintf("www-web-%d", i)}
			v, err := s.Create(t.Context(), req)
			if err != nil {
				t.Error(err)
			}
			paths[i] = v.Path
		})
	}
	wg.Wait()
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{volumesDir, claimsDir + "/shop"} {
		entries, err := os.ReadDir(filepath.Join(base, dir))
		if err != nil || len(entries) != volumes {
			t.Errorf("%s holds %d entries, want %d: %v", dir, len(entries), volumes, err)
		}
	}
	if diff := cmp.Diff(s.Volumes(), reopen(t, s).Volumes(), ignoreCount); diff != "" {
		t.Errorf("volumes (-before +after a restart):\n%s", diff)
	}
	if n := len(s.Volumes()); n != volumes {
		t.Errorf("%d volumes, want %d", n, volumes)
	}
}

func TestHalfBuiltVolumes(t *testing.T) {
	s, base := newStore(t)
	crash := filepath.Join(base, volumesDir, newPrefix+"pvc-1")
	leave := func() {
		t.Helper()
		mkdirAll(t, filepath.Join(crash, dataDir))
		writeFile(t, filepath.Join(crash, recordFile), "{")
	}
	t.Run("a retry builds anew", func(t *testing.T) {
		leave()
		mustCreate(t, s, request("pvc-1"))
		wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
	})
	t.Run("a start clears away", func(t *testing.T) {
		leave()
		s := reopen(t, s)
		wantNames(t, filepath.Join(base, volumesDir), "pvc-1")
		s.purgeAll(t.Context())
		wantNames(t, filepath.Join(base, trashDir))
	})
}

// TestCreateWhereSomethingIs finds a directory that was put there by hand.
func TestCreateWhereSomethingIs(t *testing.T) {
	s, base := newStore(t)
	empty := filepath.Join(base, volumesDir, "pvc-empty")
	full := filepath.Join(base, volumesDir, "pvc-full")
	mkdirAll(t, empty)
	mkdirAll(t, filepath.Join(full, "precious"))
	for _, name := range []string{"pvc-empty", "pvc-full"} {
		_, err := s.Create(t.Context(), request(name))
		wantClass(t, err, fs.ErrExist)
	}
	wantNames(t, filepath.Join(base, volumesDir), "pvc-empty", "pvc-full")
	wantNames(t, empty)
	wantNames(t, full, "precious")
}

func TestCreateAfterRemovalByHand(t *testing.T) {
	s, _ := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.RemoveAll(filepath.Dir(v.Path)); err != nil {
		t.Fatal(err)
	}
	again := mustCreate(t, s, request("pvc-1"))
	if _, err := os.Stat(again.Path); err != nil {
		t.Error(err)
	}
}
