package beneath

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MountID returns the ID that the mount of an open file has in
// /proc/self/mountinfo.
func MountID(f *os.File) (uint64, error) {
	id, err := mountID(int(f.Fd()))
	if err != nil {
		return 0, &fs.PathError{Op: "mount ID", Path: f.Name(), Err: err}
	}
	return id, nil
}

// IsMountRoot tells whether an open directory is the root of a mount: then what
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

// mountID asks statx(2), or before Linux 5.8 /proc, which knows since 3.15.
func mountID(fd int) (uint64, error) {
	var s unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &s)
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
	return 0, fmt.Errorf("%s tells no mnt_id", f.Name())
}
