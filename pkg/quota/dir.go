package quota

import (
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
