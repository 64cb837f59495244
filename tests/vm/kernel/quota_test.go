package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	limit   = 4 << 20
	project = 4711
)

func TestXFS(t *testing.T) { testLimit(t, "HOSTDIR_VM_XFS", limitProject) }

func TestExt4(t *testing.T) { testLimit(t, "HOSTDIR_VM_EXT4", limitProject) }

func TestBtrfs(t *testing.T) { testLimit(t, "HOSTDIR_VM_BTRFS", limitSubvolume) }

// testLimit limits one of two directories, and lets an ordinary user write more than that into both.
func testLimit(t *testing.T, variable string, makeLimited func(t *testing.T, dir string) error) {
	disk := os.Getenv(variable)
	if disk == "" {
		t.Skip(variable + " is not set: this runs in the virtual machine of tests/vm")
	}
	limited, free := filepath.Join(disk, "limited"), filepath.Join(disk, "free")
	t.Cleanup(func() { // others come after us
		for _, dir := range []string{limited, free} {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	if err := makeLimited(t, limited); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(free, 0o700); err != nil {
		t.Fatal(err)
	}

	written, err := writeAsUser(limited, 2*limit)
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		t.Errorf("writing ended with %v, not at the limit", err)
	}
	// Metadata counts too, but is little.
	if written > limit || written < limit*15/16 {
		t.Errorf("%d bytes could be written, the limit being %d", written, limit)
	}
	if written, err := writeAsUser(free, 2*limit); err != nil {
		t.Errorf("the neighbour could write %d bytes: %v", written, err)
	}
}

// writeAsUser writes a file of that size without any privilege: ext4 holds CAP_SYS_RESOURCE to no limit.
func writeAsUser(dir string, size int) (written int, err error) {
	const user = 1000
	if err := os.Chown(dir, user, user); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread, which is another user's from here on, ends
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, user, user, user); errno != 0 {
			err = errno
			return
		}
		written, err = write(filepath.Join(dir, "file"), size)
	}()
	<-done
	return written, err
}

func write(path string, size int) (written int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); written < size; {
		n, err := f.Write(block)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, f.Sync()
}

// limitProject makes a directory whose files are a project's, and limits that: ioctl_xfs_fsgetxattr(2), quotactl(2).
func limitProject(t *testing.T, path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := limitProjectTo(dir, 0); err != nil {
			t.Error(err)
		}
		dir.Close()
	})
	var attributes struct { // struct fsxattr
		xflags, extsize, nextents, projid, cowextsize uint32
		_                                             [8]byte
	}
	const (
		getAttributes = 0x801c581f // FS_IOC_FSGETXATTR
		setAttributes = 0x401c5820 // FS_IOC_FSSETXATTR
		inherit       = 0x200      // FS_XFLAG_PROJINHERIT
	)
	if err := ioctl(dir, getAttributes, unsafe.Pointer(&attributes)); err != nil {
		return err
	}
	attributes.xflags |= inherit
	attributes.projid = project
	if err := ioctl(dir, setAttributes, unsafe.Pointer(&attributes)); err != nil {
		return err
	}
	return limitProjectTo(dir, limit)
}

// limitProjectTo limits the project on the filesystem that dir is on. 0 is no limit.
func limitProjectTo(dir *os.File, bytes uint64) error {
	quota := struct { // struct if_dqblk
		blockHard, blockSoft, space, inodeHard, inodeSoft, inodes, blockTime, inodeTime uint64
		valid                                                                           uint32
	}{blockHard: bytes / 1024, blockSoft: bytes / 1024, valid: 1} // QIF_BLIMITS
	const set = 0x800008<<8 | 2 // QCMD(Q_SETQUOTA, PRJQUOTA)
	if _, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, dir.Fd(), set, project, uintptr(unsafe.Pointer(&quota)), 0, 0); errno != 0 {
		return os.NewSyscallError("quotactl_fd", errno)
	}
	return nil
}

// limitSubvolume makes a subvolume and limits its qgroup: btrfs-ioctl(2).
func limitSubvolume(_ *testing.T, path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	var create struct { // struct btrfs_ioctl_vol_args
		fd   int64
		name [4088]byte
	}
	copy(create.name[:], filepath.Base(path))
	if err := ioctl(parent, 0x5000940e, unsafe.Pointer(&create)); err != nil { // BTRFS_IOC_SUBVOL_CREATE
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	quota := struct { // struct btrfs_ioctl_qgroup_limit_args
		qgroup                                                                    uint64 // 0: the subvolume's own
		flags, maxReferenced, maxExclusive, reservedReferenced, reservedExclusive uint64
	}{flags: 1, maxReferenced: limit} // BTRFS_QGROUP_LIMIT_MAX_RFER
	return ioctl(dir, 0x8030942b, unsafe.Pointer(&quota)) // BTRFS_IOC_QGROUP_LIMIT
}

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument))
	if errno != 0 {
		return &os.PathError{Op: "ioctl", Path: f.Name(), Err: errno}
	}
	return nil
}
