package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestFullFilesystem fills a disk to the last block, as root can, and gives it
// back block by block until a volume fits.
func TestFullFilesystem(t *testing.T) {
	plugin.RequireRoot(t)
	base := disk.Mount(t, "ext4", 8*mebibyte)
	s := openStore(t, onePool(base))
	tenant := mustCreate(t, s, request("pvc-tenant"))
	fill(t, tenant.Path)
	s.countAll(t.Context())
	_, err := s.Create(t.Context(), request("pvc-1"))
	wantClass(t, err, errdefs.ErrNoSpace)
	if c := s.Capacity(config.Class{Pool: config.DefaultPool}); c != (Capacity{}) {
		t.Errorf("capacity of a full disk: %+v", c)
	}

	blocks, err := filepath.Glob(filepath.Join(tenant.Path, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range blocks {
		_, err := only(t, s).create(t.Context(), s, "pvc-1", Record{Version: recordVersion, Name: "pvc-1", Class: defaultClass}, &gate{})
		if err == nil {
			if i == 0 {
				t.Error("no write has failed: the test proves nothing")
			}
			wantNames(t, filepath.Join(base, volumesDir), "pvc-1", "pvc-tenant")
			return
		}
		wantClass(t, err, errdefs.ErrNoSpace)
		wantNames(t, filepath.Join(base, volumesDir), "pvc-tenant")
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		disk.Sync(t, base) // a block that was freed is given out after the next commit
	}
	t.Error("no volume was made on an empty disk")
}

// fill writes small files into a directory until the disk is full.
func fill(t *testing.T, dir string) {
	t.Helper()
	for size := 64 << 10; size > 0; size /= 8 {
		for i := 0; ; i++ {
			err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d-%d", size, i)), make([]byte, size), 0o600)
			if errors.Is(err, unix.ENOSPC) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		disk.Sync(t, dir)
	}
}

func TestNoSpace(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{unix.ENOSPC, true},
		{unix.EDQUOT, true},
		{unix.EROFS, true},
		{unix.EIO, true},
		{unix.EMFILE, true},
		{unix.ENFILE, true},
		{&os.PathError{Op: "mkdirat", Path: "/pool", Err: unix.ENOSPC}, true},
		{errors.Join(errors.New("first"), unix.ENOSPC), true},
		{unix.EACCES, false},
		{unix.EEXIST, false},
		{unix.ELOOP, false},
	} {
		t.Run(fmt.Sprintf("%T %v", test.err, test.err), func(t *testing.T) {
			err := noSpace(test.err)
			if got := errors.Is(err, errdefs.ErrNoSpace); got != test.want {
				t.Errorf("ErrNoSpace: %t, want %t", got, test.want)
			}
			wantClass(t, err, test.err)
		})
	}
}
