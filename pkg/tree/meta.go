package tree

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
)

// copyMeta gives an open file or directory the owner, mode, attributes and times of
// another. chown(2) clears bits of the mode and capabilities, so it comes first; an ACL
// is in the mode as well.
func copyMeta(from, to *os.File, st unix.Stat_t) error {
	if err := unix.Fchown(int(to.Fd()), int(st.Uid), int(st.Gid)); err != nil {
		return &os.PathError{Op: "fchown", Path: to.Name(), Err: err}
	}
	if err := copyAttributes(ofFile(from), ofFile(to)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o7777); err != nil {
		return &os.PathError{Op: "fchmod", Path: to.Name(), Err: err}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir.ProcPath(int(to.Fd())), times, 0); err != nil {
		return &os.PathError{Op: "utimensat", Path: to.Name(), Err: err}
	}
	return nil
}

// copyMetaAt is copyMeta for what cannot be opened, or must not: a symbolic link, a FIFO,
// a device.
func copyMetaAt(from *os.File, e Entry, to *dir.Dir) error {
	if err := unix.Fchownat(to.FD(), e.Name, int(e.Stat.Uid), int(e.Stat.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return to.Wrap("fchownat", e.Name, err)
	}
	if err := copyAttributes(ofLooked(from), ofEntry(to, e.Name)); err != nil {
		return err
	}
	if !e.Is(unix.S_IFLNK) { // which has no mode, and nobody but root is in the copy
		if err := unix.Fchmodat(to.FD(), e.Name, e.Stat.Mode&0o7777, 0); err != nil {
			return to.Wrap("fchmodat", e.Name, err)
		}
	}
	times := []unix.Timespec{e.Stat.Atim, e.Stat.Mtim}
	return to.Wrap("utimensat", e.Name, unix.UtimesNanoAt(to.FD(), e.Name, times, unix.AT_SYMLINK_NOFOLLOW))
}

// sameTime allows for a filesystem that keeps whole seconds.
func sameTime(from, to unix.Timespec) bool {
	return from.Sec == to.Sec && (from.Nsec == to.Nsec || to.Nsec == 0)
}
