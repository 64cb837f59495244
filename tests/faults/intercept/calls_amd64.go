package intercept

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_X86_64
	sysFstatat   = unix.SYS_NEWFSTATAT
)

// A Go program sets the pointer to its thread-local storage.
func init() { harmless = append(harmless, unix.SYS_ARCH_PRCTL) }
