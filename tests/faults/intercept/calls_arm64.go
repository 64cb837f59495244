package intercept

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_AARCH64
	sysFstatat   = unix.SYS_FSTATAT
)
