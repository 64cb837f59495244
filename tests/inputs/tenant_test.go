package inputs

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
)

func TestDeleteRemovesEntriesOnly(t *testing.T) {
	s := start(t)
	before := snapshot(t, s.root)
	id := s.create(t, "pvc-hostile")
	data := filepath.Join(s.VolumeDir(id), "data")
	precious := filepath.Join(s.outside, "data", "precious")

	symlink(t, "/", filepath.Join(data, "link-to-root"))
	symlink(t, s.outside, filepath.Join(data, "link-to-directory"))
	symlink(t, precious, filepath.Join(data, "link-to-file"))
	symlink(t, "..", filepath.Join(data, "link-upwards"))
	symlink(t, "missing", filepath.Join(data, "link-to-nothing"))
	mknod := func(name string, mode uint32, device uint64) {
		t.Helper()
		if err := unix.Mknod(filepath.Join(data, name), mode, int(device)); err != nil {
			t.Fatal(err)
		}
	}
	mknod("null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
	mknod("loop", unix.S_IFBLK|0o600, unix.Mkdev(7, 0))
	mknod("fifo", unix.S_IFIFO|0o600, 0) // to open it would take for ever
	socket, err := net.Listen("unix", filepath.Join(data, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := os.Link(precious, filepath.Join(data, "hard-link")); err != nil {
		t.Fatal(err)
	}
	setuid := filepath.Join(data, "setuid")
	if err := os.WriteFile(setuid, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no permissions", "a\nnew line", "-rf", "\xff\xfe"} {
		mkdir(t, filepath.Join(data, name))
		symlink(t, s.outside, filepath.Join(data, name, "link"))
		if err := os.Chmod(filepath.Join(data, name), 0); err != nil {
			t.Fatal(err)
		}
	}

	wantCode(t, s.delete(id), codes.OK, "")
	s.waitPurged(t)
	wantSame(t, s.root, before)
}

func TestDeleteStopsAtMount(t *testing.T) {
	s := start(t)
	id := s.create(t, "pvc-mounted-inside")
	data := filepath.Join(s.VolumeDir(id), "data")
	mkdir(t, filepath.Join(data, "deep", "mount"))
	// The same filesystem: no device number shows that this is a mount.
	if err := unix.Mount(s.outside, filepath.Join(data, "deep", "mount"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	outside := snapshot(t, s.outside)

	wantCode(t, s.delete(id), codes.OK, "")
	if _, err := os.Lstat(s.VolumeDir(id)); !os.IsNotExist(err) {
		t.Errorf("the volume is there after its deletion: %v", err)
	}
	// Each deletion wakes the purge, which the first volume must not keep from
	// going on with the second.
	next := s.create(t, "pvc-next")
	wantCode(t, s.delete(next), codes.OK, "")
	s.waitTrash(t, 1)
	mounts := disk.MountsBelow(t, filepath.Join(s.Base, "trash"))
	if len(mounts) != 1 {
		t.Fatalf("mounts in the trash: %q, want the one inside the volume", mounts)
	}
	wantSame(t, s.outside, outside)

	if err := unix.Unmount(mounts[0], 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.delete(s.create(t, "pvc-last")), codes.OK, "")
	s.waitPurged(t)
	wantSame(t, s.outside, outside)

	s.Signal(t, os.Interrupt)
	if says := "is a mount: unmount it"; !strings.Contains(s.Log(), says) {
		t.Errorf("the log does not say %q:\n%s", says, s.Log())
	}
}
