package quota

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl calls ioctl(2) with a struct that the kernel reads or fills in.
func ioctl[T any](op string, f *os.File, request uintptr, arg *T) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return pathError(op, f, errno)
}

// quotactl calls quotactl_fd(2) (Linux 5.14) for project quotas: unlike
// quotactl(2) it needs no block device, which a container does not see.
func quotactl[T any](op string, f *os.File, command uint32, id uint32, arg *T) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(command<<8|projectQuota), uintptr(id), uintptr(unsafe.Pointer(arg)), 0, 0)
	runtime.KeepAlive(f)
	return pathError(op, f, errno)
}

func mkdir(parent *os.File, name string) error {
	if err := unix.Mkdirat(int(parent.Fd()), name, 0o700); err != nil {
		return &os.PathError{Op: "mkdirat", Path: parent.Name() + "/" + name, Err: err}
	}
	return nil
}

func rmdir(parent *os.File, name string) error {
	if err := unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR); err != nil {
		return &os.PathError{Op: "rmdir", Path: parent.Name() + "/" + name, Err: err}
	}
	return nil
}

func openDir(parent *os.File, name string) (*os.File, error) {
	path := parent.Name() + "/" + name
	fd, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "openat", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// meanings tell the admin what some errors mean here.
var meanings = map[unix.Errno]string{
	unix.ENOSYS:   "project quotas are off, or this kernel has none",
	unix.ESRCH:    "project quotas are off: is the mount option prjquota missing?",
	unix.ENOTCONN: "btrfs's quotas are off",
	unix.EPERM:    "it takes the capability SYS_ADMIN in the initial user namespace",
}

func pathError(op string, f *os.File, errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	err := &os.PathError{Op: op, Path: f.Name(), Err: errno}
	if meaning := meanings[errno]; meaning != "" {
		return fmt.Errorf("%w (%s)", err, meaning)
	}
	return err
}
