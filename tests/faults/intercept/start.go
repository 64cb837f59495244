package intercept

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The main thread stays the main goroutine's: Start needs threads that end.
func init() { runtime.LockOSThread() }

// Verdict is what becomes of a system call. The zero Verdict lets it happen.
type Verdict struct {
	errno unix.Errno
	kill  bool
}

// Kill ends the program with SIGKILL; the call never happens.
var Kill = Verdict{kill: true}

// Fail makes the call return an error without happening.
func Fail(errno unix.Errno) Verdict { return Verdict{errno: errno} }

// Start starts a program as cmd.Start does. From its first moment decide is asked
// about each of its system calls that is not harmless. It is asked one call after
// the other, never two at a time.
func Start(cmd *exec.Cmd, decide func(Call) Verdict) error {
	started := make(chan error)
	go func() {
		// The filter cannot be taken off again: the thread ends with this
		// goroutine, because it is never unlocked.
		runtime.LockOSThread()
		listener, err := install()
		if err == nil {
			go serve(listener, decide)
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// notification and response are struct seccomp_notif and seccomp_notif_resp, see
// seccomp_unotify(2).
type notification struct {
	id           uint64
	thread       uint32
	flags        uint32
	number       int32
	architecture uint32
	instruction  uint64
	args         [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// serve answers until nobody is left under the filter.
func serve(listener *os.File, decide func(Call) Verdict) {
	defer listener.Close()
	for {
		events := []unix.PollFd{{Fd: int32(listener.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(events, -1); err == unix.EINTR {
			continue
		}
		if events[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		switch err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err {
		case nil:
		case unix.ENOENT, unix.EINTR: // the thread was killed, or the call taken back
			continue
		default:
			panic(fmt.Sprintf("SECCOMP_IOCTL_NOTIF_RECV: %v", err))
		}
		answer := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		switch v := n.judge(decide); {
		case v.kill:
			continue // a call that is not answered waits until its thread is dead
		case v.errno != 0:
			answer = response{id: n.id, errno: -int32(v.errno)}
		}
		if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)); err != nil && err != unix.ENOENT {
			panic(fmt.Sprintf("SECCOMP_IOCTL_NOTIF_SEND: %v", err))
		}
	}
}

func (n notification) judge(decide func(Call) Verdict) Verdict {
	process, err := n.process()
	if err != nil || process == os.Getpid() { // it is dead; it is the thread that starts the program
		return Verdict{}
	}
	v := decide(n.call())
	if v.kill {
		unix.Kill(process, unix.SIGKILL) // that it is dead already is as good
	}
	return v
}

// process is the process that the thread belongs to.
func (n notification) process() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.thread))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(status, []byte("\nTgid:"))
	if !found {
		return 0, errors.New("no Tgid in /proc/<tid>/status")
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(string(bytes.TrimSpace(line)))
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
	if errno != 0 {
		return errno
	}
	return nil
}
