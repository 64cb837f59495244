package intercept

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where struct seccomp_data, which a filter looks at, has its fields: see
// seccomp(2).
const (
	offsetNumber       = 0
	offsetArchitecture = 4
)

// filter is a classic BPF program: harmless calls are let through, all others
// handed over. Those of another architecture, whose numbers mean other things,
// end the program.
func filter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unlessEqual := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: k}
	}
	end := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	program := []unix.SockFilter{
		load(offsetArchitecture),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: architecture},
		end(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNumber),
	}
	for _, number := range harmless {
		program = append(program, unlessEqual(number, 1), end(unix.SECCOMP_RET_ALLOW))
	}
	return append(program, end(unix.SECCOMP_RET_USER_NOTIF))
}

// install puts the calling thread, and the processes that it starts, under the
// filter, for ever. It returns the descriptor through which calls are handed
// over, and needs CAP_SYS_ADMIN.
func install() (*os.File, error) {
	program := filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// Once a call is handed over, no signal takes it back: the Go runtime sends
	// itself many, and each would make one call look like two.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return nil, fmt.Errorf("seccomp(2), which takes root and Linux 5.19: %w", errno)
	}
	return os.NewFile(listener, "seccomp"), nil
}
