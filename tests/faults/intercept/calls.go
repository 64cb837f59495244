package intercept

import "golang.org/x/sys/unix"

// form says what a system call works on.
type form struct {
	name     string
	operands []operand
	// number is the argument that tells calls of one name apart, such as the
	// request of ioctl(2), with its place plus one; 0 if there is none.
	number int
}

// operand is a file among the arguments of a system call, as the places of its
// descriptor and of its path; none where there is only the other.
type operand struct{ descriptor, path int }

const none = -1

var (
	fd     = []operand{{0, none}}
	path   = []operand{{none, 0}}
	at     = []operand{{0, 1}}
	atBoth = []operand{{0, 1}, {2, 3}}
)

// known are the calls that are handed over and understood: those that change
// files, directories, quotas or mounts, and those that open them.
var known = map[int32]form{
	unix.SYS_OPENAT:        {"openat", at, 0},
	unix.SYS_OPENAT2:       {"openat2", at, 0},
	unix.SYS_WRITE:         {"write", fd, 0},
	unix.SYS_WRITEV:        {"writev", fd, 0},
	unix.SYS_PWRITE64:      {"pwrite64", fd, 0},
	unix.SYS_FTRUNCATE:     {"ftruncate", fd, 0},
	unix.SYS_FSYNC:         {"fsync", fd, 0},
	unix.SYS_FDATASYNC:     {"fdatasync", fd, 0},
	unix.SYS_SYNCFS:        {"syncfs", fd, 0},
	unix.SYS_FSETXATTR:     {"fsetxattr", fd, 0},
	unix.SYS_FCHOWN:        {"fchown", fd, 0},
	unix.SYS_FCHOWNAT:      {"fchownat", at, 0},
	unix.SYS_FCHMOD:        {"fchmod", fd, 0},
	unix.SYS_FCHMODAT:      {"fchmodat", at, 0},
	unix.SYS_UTIMENSAT:     {"utimensat", at, 0},
	unix.SYS_MKDIRAT:       {"mkdirat", at, 0},
	unix.SYS_MKNODAT:       {"mknodat", at, 0},
	unix.SYS_SYMLINKAT:     {"symlinkat", []operand{{1, 2}}, 0},
	unix.SYS_LINKAT:        {"linkat", atBoth, 0},
	unix.SYS_UNLINKAT:      {"unlinkat", at, 0},
	unix.SYS_RENAMEAT:      {"renameat", atBoth, 0},
	unix.SYS_RENAMEAT2:     {"renameat2", atBoth, 0},
	unix.SYS_IOCTL:         {"ioctl", fd, 2},
	unix.SYS_QUOTACTL_FD:   {"quotactl_fd", fd, 2},
	unix.SYS_MOUNT:         {"mount", []operand{{none, 0}, {none, 1}}, 0},
	unix.SYS_UMOUNT2:       {"umount2", path, 0},
	unix.SYS_OPEN_TREE:     {"open_tree", at, 0},
	unix.SYS_MOUNT_SETATTR: {"mount_setattr", at, 0},
	unix.SYS_MOVE_MOUNT:    {"move_mount", atBoth, 0},
	unix.SYS_BIND:          {"bind", nil, 0}, // makes the file of a Unix socket
}

// harmless are the calls that are not handed over: they change nothing but the
// process itself, its memory and threads, its sockets and its descriptors.
var harmless = []uint32{
	// Reading.
	unix.SYS_READ, unix.SYS_READV, unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_GETDENTS64, unix.SYS_READLINKAT,
	unix.SYS_FLISTXATTR, unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR, unix.SYS_FGETXATTR, unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_FSTAT, sysFstatat, unix.SYS_STATX, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
	// Descriptors.
	unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_PIPE2, unix.SYS_EVENTFD2,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_PPOLL,
	// Sockets.
	unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_LISTEN, unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_RECVMSG,
	// Memory.
	unix.SYS_BRK, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MINCORE,
	// Threads, processes, signals.
	unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXECVE, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_WAIT4, unix.SYS_WAITID,
	unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_SET_TID_ADDRESS, unix.SYS_RSEQ, unix.SYS_PRCTL,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID,
	unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_UMASK, unix.SYS_PRLIMIT64, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT,
	// Time, chance, and who and where one is.
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_SETITIMER,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_GETRANDOM, unix.SYS_GETRUSAGE,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETCWD, unix.SYS_UNAME, unix.SYS_SYSINFO,
}
