package quota_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/tests/disk"
)

// wantEnabled wants Enabled and Detect to find the same.
func wantEnabled(t *testing.T, dir string, want quota.Kind) {
	t.Helper()
	f := open(t, dir)
	defer f.Close() // or else it could not be unmounted
	if got, err := quota.Enabled(f); got != want || err != nil {
		t.Errorf("Enabled() = %s, %v; want %s", got, err, want)
	}
	q, err := quota.Detect(f)
	if got := quota.KindOf(q); got != want || errors.Is(err, quota.ErrOff) != (want == quota.None) {
		t.Errorf("Detect() = %s, %v; want %s", got, err, want)
	}
}

// volume is a directory that was limited to 8 MiB while quotas were on.
type volume struct {
	q    quota.Quota
	path string
	id   quota.ID
}

const volumeLimit = 8 << 20

func newVolume(t *testing.T, dir string) volume {
	t.Helper()
	parent := open(t, dir)
	defer parent.Close()
	q, err := quota.Detect(parent)
	if err != nil {
		t.Fatal(err)
	}
	id, err := q.Create(parent, "volume", 600)
	if err != nil {
		t.Fatal(err)
	}
	v := volume{q, dir + "/volume", id}
	if err := v.set(t); err != nil {
		t.Fatal(err)
	}
	v.wantLimit(t, volumeLimit)
	return v
}

func (v volume) set(t *testing.T) error {
	t.Helper()
	f := open(t, v.path)
	defer f.Close()
	return v.q.Set(f, v.id, quota.Limit{Bytes: volumeLimit})
}

func (v volume) wantLimit(t *testing.T, want int64) {
	t.Helper()
	f := open(t, v.path)
	defer f.Close()
	if limit, _, err := v.q.Get(f, v.id); limit.Bytes != want || err != nil {
		t.Errorf("Get() = %+v, %v; want %d bytes", limit, err, want)
	}
}

// wantOff wants each call that needs quotas to say that they are off, and a
// Create to leave nothing behind.
func (v volume) wantOff(t *testing.T) {
	t.Helper()
	f := open(t, v.path)
	defer f.Close()
	if err := v.set(t); !errors.Is(err, quota.ErrOff) {
		t.Errorf("Set() = %v", err)
	}
	if _, _, err := v.q.Get(f, v.id); !errors.Is(err, quota.ErrOff) {
		t.Errorf("Get() = %v", err)
	}
	v.wantNoCreate(t)
}

func (v volume) wantNoCreate(t *testing.T) {
	t.Helper()
	f := open(t, v.path)
	defer f.Close()
	if _, err := v.q.Create(f, "new", 601); !errors.Is(err, quota.ErrOff) {
		t.Errorf("Create() = %v", err)
	}
	if _, err := os.Stat(v.path + "/new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Create left a directory: %v", err)
	}
}

func TestEnabledOnBtrfs(t *testing.T) {
	needDisks(t)
	dir := disk.Mount(t, "btrfs", diskSize)
	wantEnabled(t, dir, quota.None)
	switchQuotas(t, dir, enableFull)
	wantEnabled(t, dir, quota.Btrfs)
	v := newVolume(t, dir)
	for range 2 {
		for _, on := range []uint64{enableFull, enableSimple} {
			switchQuotas(t, dir, disable)
			wantEnabled(t, dir, quota.None)
			v.wantOff(t)

			switchQuotas(t, dir, on)
			wantEnabled(t, dir, quota.Btrfs)
			v.wantLimit(t, 0) // btrfs has forgotten it
			if err := v.set(t); err != nil {
				t.Error(err)
			}
			v.wantLimit(t, volumeLimit)
		}
	}

	remount(t, dir, "ro")
	wantEnabled(t, dir, quota.Btrfs)
}

// TestEnabledAfterLostCount has btrfs's full quotas lose count, as they do when
// a subvolume is put into another group.
func TestEnabledAfterLostCount(t *testing.T) {
	if _, err := exec.LookPath("btrfs"); err != nil {
		t.Skip(err)
	}
	dir := btrfs(t, enableFull)
	run(t, "btrfs", "quota", "rescan", "-w", dir)
	v := newVolume(t, dir)
	if err := os.WriteFile(v.path+"/file", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	disk.Sync(t, dir)
	run(t, "btrfs", "subvolume", "snapshot", v.path, dir+"/snapshot")
	run(t, "btrfs", "qgroup", "create", "1/5000", dir)
	run(t, "btrfs", "qgroup", "assign", "--no-rescan", dir+"/snapshot", "1/5000", dir)
	disk.Sync(t, dir)
	wantEnabled(t, dir, quota.None)
	v.wantNoCreate(t)
	if err := v.set(t); err != nil { // its limit still holds, so that it must be possible to raise it
		t.Error(err)
	}

	run(t, "btrfs", "quota", "rescan", "-w", dir)
	wantEnabled(t, dir, quota.Btrfs)
	v.wantLimit(t, volumeLimit)
}

func TestEnabledOnXFS(t *testing.T)  { enabledProjects(t, quota.XFS) }
func TestEnabledOnExt4(t *testing.T) { enabledProjects(t, quota.Ext4) }

// enabledProjects switches project quotas off and on in the ways that there are:
// no remount does it.
func enabledProjects(t *testing.T, kind quota.Kind) {
	image, dir := projectImage(t, kind), t.TempDir()
	mountOrSkip(t, image, dir, "prjquota")
	wantEnabled(t, dir, kind)
	v := newVolume(t, dir)

	enforce(t, dir, false)
	wantEnabled(t, dir, quota.None)
	v.wantNoCreate(t)
	v.wantLimit(t, 0)
	enforce(t, dir, true)
	wantEnabled(t, dir, kind)
	v.wantLimit(t, volumeLimit)

	remount(t, dir, "ro")
	if kind == quota.Ext4 { // counts nothing while there is nothing to count
		wantEnabled(t, dir, quota.None)
	} else {
		wantEnabled(t, dir, kind)
	}
	remount(t, dir, "rw")
	wantEnabled(t, dir, kind)

	run(t, "umount", dir)
	mountOrSkip(t, image, dir, "noquota")
	wantEnabled(t, dir, quota.None)
	if kind == quota.Ext4 { // counts still
		v.wantNoCreate(t)
		v.wantLimit(t, 0)
	} else {
		v.wantOff(t)
	}

	run(t, "umount", dir)
	mountOrSkip(t, image, dir, "prjquota")
	wantEnabled(t, dir, kind)
	v.wantLimit(t, volumeLimit)
}

// enforce switches the enforcement of project quotas on or off.
func enforce(t *testing.T, dir string, on bool) {
	t.Helper()
	command := uintptr(0x5802) // Q_XQUOTAOFF
	if on {
		command = 0x5801 // Q_XQUOTAON
	}
	f := open(t, dir)
	defer f.Close()
	flags := uint32(1 << 5) // FS_QUOTA_PDQ_ENFD
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), command<<8|2 /* PRJQUOTA */, 0, uintptr(unsafe.Pointer(&flags)), 0, 0)
	if errno != 0 {
		t.Fatalf("switching enforcement: %v", errno)
	}
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	run(t, "mount", "-o", "remount,"+options, dir)
}

func TestEnabledOnOthers(t *testing.T) { wantEnabled(t, "/proc", quota.None) }

// TestEnabledFails wants an error that says nothing about quotas to be no None.
func TestEnabledFails(t *testing.T) {
	f := open(t, t.TempDir())
	f.Close()
	if kind, err := quota.Enabled(f); err == nil || errors.Is(err, quota.ErrOff) || kind != "" {
		t.Errorf("Enabled() = %q, %v for a closed directory", kind, err)
	}
	if _, err := quota.Detect(f); err == nil || errors.Is(err, quota.ErrOff) {
		t.Errorf("Detect() = %v for a closed directory", err)
	}
}
