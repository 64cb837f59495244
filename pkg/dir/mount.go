package dir

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Mount is a mount of this node that has to do with a directory.
type Mount struct {
	// ID is the mount's in the mount table, Target the path where it is.
	ID     int
	Target string
	// Source is what of the directory is mounted there, a path in it; "" if
	// something else is.
	Source string
	// Within is where in the directory Target is, a path in it; "" if outside.
	Within string
	// Restricted reports that it lets through neither setuid programs nor
	// devices.
	Restricted bool
}

// MountOf returns what the mount table says of the mount that an open file is on.
// The filesystem that is mounted there is not asked.
func MountOf(f *os.File) (*mountinfo.Info, error) {
	id, err := MountID(f)
	if err != nil {
		return nil, err
	}
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		same := uint64(m.ID) == id
		return !same, same
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("the mount table cannot be read: %w", err)
	case len(found) == 0:
		return nil, fmt.Errorf("the mount of %s is not in the mount table", f.Name())
	default:
		return found[0], nil
	}
}

// MountID returns the ID that the mount of an open file has in
// /proc/self/mountinfo. The filesystem that is mounted there is not asked.
func MountID(f *os.File) (uint64, error) {
	id, err := mountID(int(f.Fd()))
	if err != nil {
		return 0, &fs.PathError{Op: "mount ID", Path: f.Name(), Err: err}
	}
	return id, nil
}

// IsMountRoot reports whether an open directory is the root of a mount: then what
// lies above it is on another one. (STATX_ATTR_MOUNT_ROOT would take Linux 5.8.)
func IsMountRoot(dir *os.File) (bool, error) {
	above, err := openat(int(dir.Fd()), "..", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &fs.PathError{Op: "open", Path: dir.Name() + "/..", Err: err}
	}
	defer unix.Close(above)
	aboveID, err := mountID(above)
	if err != nil {
		return false, &fs.PathError{Op: "mount ID", Path: dir.Name() + "/..", Err: err}
	}
	id, err := MountID(dir)
	return id != aboveID, err
}

// mountID asks statx(2), or before Linux 5.8 /proc, which knows since 3.15. Without
// AT_STATX_DONT_SYNC statx would have a network or FUSE filesystem asked for what
// the kernel knows: one that does not answer would never let go of the caller.
func mountID(fd int) (uint64, error) {
	var s unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &s)
	if err == nil && s.Mask&unix.STATX_MNT_ID != 0 {
		return s.Mnt_id, nil
	}
	return mountIDFromProc(fd)
}

// mountIDFromProc reads the line "mnt_id:" of proc_pid_fdinfo(5).
func mountIDFromProc(fd int) (uint64, error) {
	f, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "mnt_id:"); ok {
			return strconv.ParseUint(strings.TrimSpace(id), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s holds no mnt_id", f.Name())
}
