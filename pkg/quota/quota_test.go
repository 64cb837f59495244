package quota_test

import (
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/quota"
	"github.com/hostdir/hostdir/pkg/quota/quotatest"
	"github.com/hostdir/hostdir/tests/disk"
)

const diskSize = 1 << 30 // sparse

func TestXFS(t *testing.T) {
	dir := projects(t, quota.XFS, "HOSTDIR_VM_XFS")
	quotatest.Run(t, dir, quota.XFS)
	t.Run("loses its project", func(t *testing.T) { losesProject(t, dir) })
}

func TestExt4(t *testing.T) {
	dir := projects(t, quota.Ext4, "HOSTDIR_VM_EXT4")
	quotatest.Run(t, dir, quota.Ext4)
	t.Run("loses its project", func(t *testing.T) { losesProject(t, dir) })
}

func TestBtrfs(t *testing.T) {
	dir := os.Getenv("HOSTDIR_VM_BTRFS")
	if dir == "" {
		dir = btrfs(t, enableFull)
	}
	quotatest.Run(t, dir, quota.Btrfs)
}

func TestBtrfsSimple(t *testing.T) {
	dir := btrfs(t, enableSimple)
	quotatest.Run(t, dir, quota.Btrfs)
	t.Run("limits nested subvolumes", func(t *testing.T) { limitsNested(t, dir) })
}

func TestNone(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("no tmpfs can be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	quotatest.Run(t, dir, quota.None)
}

// projects returns where a filesystem with project quotas is mounted: what the
// virtual machine of tests/vm says, or else a disk of its own.
func projects(t testing.TB, kind quota.Kind, variable string) string {
	t.Helper()
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	needDisks(t)
	image := disk.Image(t, string(kind), diskSize)
	if kind == quota.Ext4 {
		if out, err := exec.Command("tune2fs", "-O", "project,quota", "-Q", "prjquota", image).CombinedOutput(); err != nil {
			t.Fatalf("tune2fs: %v\n%s", err, out)
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop,prjquota", image, dir).CombinedOutput(); err != nil {
		t.Skipf("this kernel has no project quotas for %s, tests/vm runs this on one that has: %s", kind, out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	return dir
}

// What struct btrfs_ioctl_quota_ctl_args asks for.
const (
	enableFull   = 1 // BTRFS_QUOTA_CTL_ENABLE
	enableSimple = 4 // BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA, Linux 6.7
)

// btrfs mounts one with quotas.
func btrfs(t testing.TB, enable uint64) string {
	t.Helper()
	needDisks(t)
	dir := disk.Mount(t, "btrfs", diskSize)
	f := open(t, dir)
	defer f.Close() // or else it could not be unmounted
	args := [2]uint64{enable}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0xc0109428 /* BTRFS_IOC_QUOTA_CTL */, uintptr(unsafe.Pointer(&args)))
	if errno == unix.EINVAL && enable == enableSimple {
		t.Skip("this kernel is older than simple quotas")
	}
	if errno != 0 {
		t.Fatalf("enabling quotas: %v", errno)
	}
	return dir
}

func needDisks(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount disks")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("no programs here that make filesystems")
	}
}

func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
