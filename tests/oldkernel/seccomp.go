package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rule lets a system call fail.
type rule struct {
	call uint32
	// flag, if there is one, restricts the rule to calls that have it in this
	// argument, the first of which is 0.
	argument uint32
	flag     uint32
	errno    unix.Errno
}

// Where struct seccomp_data has what filters look at, see seccomp(2).
const (
	offsetCall      = 0
	offsetArch      = 4
	offsetArguments = 16
)

// architectures are the kernel's names for those that Go calls GOARCH.
var architectures = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// filter is the program for the kernel. Calls of another architecture's kind are
// left alone.
func filter(rules []rule) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(kind uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | kind | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	answer := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	f := []unix.SockFilter{
		load(offsetArch),
		jump(unix.BPF_JEQ, architectures[runtime.GOARCH], 1, 0),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	for _, r := range rules {
		fail := answer(unix.SECCOMP_RET_ERRNO | uint32(r.errno))
		f = append(f, load(offsetCall))
		if r.flag == 0 {
			f = append(f, jump(unix.BPF_JEQ, r.call, 0, 1), fail)
		} else {
			f = append(f,
				jump(unix.BPF_JEQ, r.call, 0, 3),
				load(offsetArguments+8*r.argument), // the lower half, on machines of little endian
				jump(unix.BPF_JSET, r.flag, 0, 1),
				fail)
		}
	}
	return append(f, answer(unix.SECCOMP_RET_ALLOW))
}

// install puts a filter in force for the calling thread, to which the caller
// then stays, and for what it executes.
func install(rules []rule) error {
	if architectures[runtime.GOARCH] == 0 {
		return fmt.Errorf("not known on %s", runtime.GOARCH)
	}
	f := filter(rules)
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	runtime.LockOSThread()
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
