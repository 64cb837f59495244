// Command oldkernel runs a program as on an older kernel, or under a seccomp
// profile of an older container runtime: system calls that they do not have fail
// as they would there, for the program and all that it runs.
//
//	oldkernel PROFILE PROGRAM [ARGUMENTS]
//
// It serves as `go test -exec`, too. The tests beside it run hostdir, and its
// other tests, under each profile.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// profiles are what can be lacking.
var profiles = map[string][]rule{
	// RHEL 8. It has statx(2), but not that call's mount IDs: a filter cannot
	// take those away alone.
	"4.18": failing(unix.ENOSYS, unix.SYS_OPENAT2, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
		unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_QUOTACTL_FD, unix.SYS_STATX,
		unix.SYS_FACCESSAT2, unix.SYS_CLOSE_RANGE, unix.SYS_CLONE3),
	// Debian 11.
	"5.10": failing(unix.ENOSYS, unix.SYS_MOUNT_SETATTR, unix.SYS_QUOTACTL_FD),
	// A profile that forbids what it does not know.
	"forbidding": failing(unix.EPERM, unix.SYS_OPENAT2, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_STATX),
	// What NFS answers.
	"replacing": {{call: unix.SYS_RENAMEAT2, argument: 4, flag: unix.RENAME_NOREPLACE, errno: unix.EINVAL}},
}

func failing(errno unix.Errno, calls ...uint32) []rule {
	var rules []rule
	for _, call := range calls {
		rules = append(rules, rule{call: call, errno: errno})
	}
	return rules
}

func main() {
	if len(os.Args) < 3 || profiles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: oldkernel PROFILE PROGRAM [ARGUMENTS]")
		os.Exit(2)
	}
	err := run(profiles[os.Args[1]], os.Args[2:])
	fmt.Fprintln(os.Stderr, "oldkernel:", err)
	os.Exit(1)
}

// run becomes the program.
func run(rules []rule, command []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	if err := install(rules); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return syscall.Exec(program, command, os.Environ())
}
