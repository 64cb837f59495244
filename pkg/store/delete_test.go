package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

func TestDelete(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	writeFile(t, filepath.Join(v.Path, "file"), "content")

	refused := errors.New("refused")
	wantClass(t, s.Delete(t.Context(), v.ID, func(data *os.File) error {
		names, err := data.Readdirnames(-1)
		if err != nil || len(names) != 1 {
			t.Errorf("the data directory holds %q: %v", names, err)
		}
		return refused
	}), refused)
	wantNames(t, filepath.Join(base, volumesDir), "pvc-1")

	mustDelete(t, s, v.ID)
	wantNames(t, filepath.Join(base, volumesDir))
	if len(s.Volumes()) != 0 {
		t.Error("a deleted volume is listed")
	}
	wantClass(t, s.WithData(t.Context(), v.ID, anyUse), errdefs.ErrNotFound)
	wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrNotFound)

	// The name is free at once, though the purge has not run.
	again := mustCreate(t, s, request("pvc-1"))
	wantNames(t, again.Path)
	mustDelete(t, s, again.ID)
	s.purgeAll(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
}

func TestDeleteAcrossStarts(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	writeFile(t, filepath.Join(v.Path, "file"), "content")
	mustDelete(t, reopen(t, s), v.ID)
	again := reopen(t, s)
	wantClass(t, again.Delete(t.Context(), v.ID, anyUse), errdefs.ErrNotFound)
	again.purgeAll(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
}

func TestDeleteWithoutData(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	wantClass(t, s.WithData(t.Context(), v.ID, anyUse), errdefs.ErrNotFound)
	mustDelete(t, s, v.ID)
	wantNames(t, filepath.Join(base, volumesDir))
}

func TestOneCallAVolume(t *testing.T) {
	s, _ := newStore(t)
	v, other := mustCreate(t, s, request("pvc-1")), mustCreate(t, s, request("pvc-2"))
	err := s.WithData(t.Context(), v.ID, func(*os.File) error {
		_, err := s.Create(t.Context(), request("pvc-1"))
		wantClass(t, err, errdefs.ErrBusy)
		wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrBusy)
		wantClass(t, s.WithData(t.Context(), v.ID, anyUse), errdefs.ErrBusy)
		wantClass(t, s.WithLock(v.ID, func() error { return nil }), errdefs.ErrBusy)
		// Who only reads, waits for nobody.
		if _, err := s.Volume(t.Context(), v.ID); err != nil {
			t.Error(err)
		}
		if _, err := s.Stats(t.Context(), v.ID, anyUse); err != nil {
			t.Error(err)
		}
		// Other volumes know nothing of this.
		return s.WithData(t.Context(), other.ID, anyUse)
	})
	if err != nil {
		t.Error(err)
	}
	mustDelete(t, s, v.ID)
}

func TestPurgeGoesOn(t *testing.T) {
	plugin.RequireRoot(t)
	s, base := newStore(t)
	stuck := mustCreate(t, s, request("pvc-stuck"))
	mounted := filepath.Join(stuck.Path, "mounted")
	mkdirAll(t, mounted)
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "precious"), "not the volume's")
	if err := unix.Mount(outside, mounted, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	unmount := func() {
		found, _ := filepath.Glob(filepath.Join(base, "*", "*", dataDir, "mounted"))
		for _, at := range found {
			unix.Unmount(at, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	for i := range 3 {
		mustDelete(t, s, mustCreate(t, s, request(fmt.Sprintf("pvc-%d", i))).ID)
	}
	mustDelete(t, s, stuck.ID)
	s.purgeAll(t.Context())
	left, err := os.ReadDir(filepath.Join(base, trashDir))
	if err != nil || len(left) != 1 {
		t.Errorf("the trash holds %v, want the volume with the mount: %v", left, err)
	}
	wantNames(t, outside, "precious")
	unmount()
	s.purgeAll(t.Context())
	wantNames(t, filepath.Join(base, trashDir))
	wantNames(t, outside, "precious")
}

// TestDeleteWithoutVolumes takes all volumes away at once: what nobody can see was
// not deleted.
func TestDeleteWithoutVolumes(t *testing.T) {
	s, base := newStore(t)
	v := mustCreate(t, s, request("pvc-1"))
	move(t, base, volumesDir, "aside")
	wantClass(t, s.Delete(t.Context(), v.ID, anyUse), errdefs.ErrUnavailable)
	_, err := s.Volume(t.Context(), v.ID)
	wantClass(t, err, errdefs.ErrUnavailable)
	move(t, base, "aside", volumesDir)
	mustDelete(t, s, v.ID)
}
