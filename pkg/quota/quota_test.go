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

// projects returns where a filesystem with project quotas is mounted: what the
// virtual machine of tests/vm says, or else a disk of its own.
func projects(t testing.TB, kind quota.Kind, variable string) string {
	t.Helper()
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	image := projectImage(t, kind)
	dir := t.TempDir()
	mountOrSkip(t, image, dir, "prjquota")
	return dir
}

// projectImage makes a filesystem that can have project quotas.
func projectImage(t testing.TB, kind quota.Kind) string {
	t.Helper()
	needDisks(t)
	image := disk.Image(t, string(kind), diskSize)
	if kind == quota.Ext4 {
		run(t, "tune2fs", "-O", "project,quota", "-Q", "prjquota", image)
	}
	return image
}

// mountOrSkip mounts an image until the test ends.
func mountOrSkip(t testing.TB, image, dir, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop,"+options, image, dir).CombinedOutput(); err != nil {
		t.Skipf("this kernel has no project quotas, tests/vm runs this on one that has: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
}

func run(t testing.TB, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
}

// What struct btrfs_ioctl_quota_ctl_args asks for.
const (
	enableFull   = 1 // BTRFS_QUOTA_CTL_ENABLE
	disable      = 2 // BTRFS_QUOTA_CTL_DISABLE
	enableSimple = 4 // BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA, Linux 6.7
)

// btrfs mounts one with quotas.
func btrfs(t testing.TB, enable uint64) string {
	t.Helper()
	needDisks(t)
	dir := disk.Mount(t, "btrfs", diskSize)
	switchQuotas(t, dir, enable)
	return dir
}

// switchQuotas switches the quotas of a btrfs on or off.
func switchQuotas(t testing.TB, dir string, to uint64) {
	t.Helper()
	f := open(t, dir)
	defer f.Close() // or else it could not be unmounted
	args := [2]uint64{to}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0xc0109428 /* BTRFS_IOC_QUOTA_CTL */, uintptr(unsafe.Pointer(&args)))
	if errno == unix.EINVAL && to == enableSimple {
		t.Skip("this kernel is older than simple quotas")
	}
	if errno != 0 {
		t.Fatalf("switching quotas: %v", errno)
	}
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
