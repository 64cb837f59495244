package disk

import (
	"os"
	"testing"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Requests of ioctl(2) by which a mounted filesystem grows, as xfs_growfs(8),
// resize2fs(8) and btrfs-filesystem(8) make them: the tests also run where those
// programs are missing.
const (
	xfsGrow   = 0x4010586e // XFS_IOC_FSGROWFSDATA: struct xfs_growfs_data
	ext4Grow  = 0x40086610 // EXT4_IOC_RESIZE_FS
	btrfsGrow = 0x50009403 // BTRFS_IOC_RESIZE: struct btrfs_ioctl_vol_args
)

// Grow makes an image larger, the loop device that it is mounted through, and the
// filesystem that is mounted at dir. It skips the test where this may not be done.
func Grow(t testing.TB, image, dir string, size int64) {
	t.Helper()
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(mounts) != 1 {
		t.Fatalf("%d mounts at %s: %v", len(mounts), dir, err)
	}
	loop, err := os.OpenFile(mounts[0].Source, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		t.Fatalf("growing %s: %v", loop.Name(), err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	blocks := uint64(size / stat.Bsize)
	switch mounts[0].FSType {
	case "xfs":
		grow(t, dir, xfsGrow, &struct {
			blocks     uint64
			maxPercent uint32 // of inodes
			_          uint32
		}{blocks: blocks, maxPercent: 25})
	case "ext4":
		grow(t, dir, ext4Grow, &blocks)
	case "btrfs":
		args := struct {
			_    int64
			name [4088]byte
		}{}
		copy(args.name[:], "max")
		grow(t, dir, btrfsGrow, &args)
	default:
		t.Fatalf("%s is %s, which cannot be grown", dir, mounts[0].FSType)
	}
}

func grow[T any](t testing.TB, dir string, request uintptr, arg *T) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(arg)))
	if errno == unix.EPERM && request == ext4Grow {
		t.Skip("ext4 grows only for who has the capability SYS_RESOURCE, as in the virtual machine of tests/vm")
	}
	if errno != 0 {
		t.Fatalf("growing the filesystem at %s: %v", dir, errno)
	}
}
