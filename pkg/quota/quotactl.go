package quota

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quotactl calls quotactl_fd(2) (Linux 5.14) for project quotas: unlike
// quotactl(2) it needs no block device, which a container does not see.
func quotactl[T any](op string, f *os.File, command uint32, id uint32, arg *T) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(command<<8|projectQuota), uintptr(id), uintptr(unsafe.Pointer(arg)), 0, 0)
	runtime.KeepAlive(f)
	return pathError(op, f, errno)
}
