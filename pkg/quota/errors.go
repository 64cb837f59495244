package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrOff is returned where the filesystem keeps no limits now: its quotas are
// switched off or have lost count, or it has none. Any other error says nothing
// of them, and may pass.
var ErrOff = errors.New("directories are not limited")

// off is an ErrOff that says why, and what to do if that depends on why.
type off struct{ why, remedy string }

func (o off) Error() string {
	if o.remedy == "" {
		return o.why
	}
	return o.why + "; to have limits enforced, " + o.remedy
}

func (off) Is(target error) bool { return target == ErrOff }

// offAt is ErrOff of a directory's filesystem.
func offAt(dir *os.File, why off) error { return fmt.Errorf("%s: %w", dir.Name(), why) }

// meanings explain what some errors mean here.
var meanings = map[unix.Errno]error{
	unix.ENOSYS:   off{why: "project quotas are off, or this kernel has none: it takes Linux 5.14"},
	unix.ESRCH:    off{why: "project quotas are off"},
	unix.ENOTCONN: off{why: "btrfs's quotas are off"},
	unix.EPERM:    errors.New("it takes the capability SYS_ADMIN in the initial user namespace"),
}

func pathError(op string, f *os.File, errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	err := &os.PathError{Op: op, Path: f.Name(), Err: errno}
	if meaning := meanings[errno]; meaning != nil {
		return fmt.Errorf("%w (%w)", err, meaning)
	}
	return err
}
