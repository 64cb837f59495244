package quotatest

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// nobody is an ordinary user, whom ext4 does not let pass limits as it does
// root (CAP_SYS_RESOURCE).
const nobody = 65534

// asUser runs f as an ordinary user: on a thread of its own that gives up being
// root, and ends with f.
func asUser(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: Go ends the thread
		// The system calls themselves change one thread, unlike libc's.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	return <-done
}

// openat makes or opens a file for writing at its end.
func openat(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "openat", Path: dir.Name() + "/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), dir.Name()+"/"+name), nil
}

// Fill appends to a file, as an ordinary user, until that is refused for want
// of room or the file has grown by most bytes. It returns how much it grew.
func Fill(f *os.File, most int64) (grown int64, full bool, err error) {
	chunk := make([]byte, 16<<10)
	err = asUser(func() error {
		for grown < most {
			n, err := f.Write(chunk[:min(most-grown, int64(len(chunk)))])
			grown += int64(n)
			if err != nil {
				return err
			}
		}
		return nil
	})
	full = isFull(err)
	if full {
		err = nil
	}
	return grown, full, errors.Join(err, f.Sync())
}

// isFull reports whether an error is how a full filesystem or a reached limit
// shows: XFS says ENOSPC, ext4 and btrfs EDQUOT.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
