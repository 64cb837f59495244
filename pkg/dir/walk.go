package dir

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// walk opens one component after the other. Each is first opened with O_PATH,
// which reads nothing and wakes no device, and is looked at through that
// descriptor: nobody can exchange it between the look and the next step.
func walk(dir int, name string, flags int, mode uint32, mounts Mounts) (fd int, err error) {
	var home uint64 // the mount to stay on
	if mounts == RefuseMounts {
		if home, err = mountID(dir); err != nil {
			return -1, err
		}
	}
	if name == "." {
		return openat(dir, ".", flags, 0)
	}
	at := dir
	leave := func() {
		if at != dir {
			unix.Close(at)
		}
	}
	for {
		component, rest, more := strings.Cut(name, "/")
		if !more && flags&unix.O_CREAT != 0 {
			fd, err = create(at, component, flags, mode, home, mounts)
			leave()
			return fd, err
		}
		want := anything
		switch {
		case more || flags&unix.O_DIRECTORY != 0:
			want = aDirectory
		case flags&itself == itself:
			want = evenALink
		}
		next, err := step(at, component, want, home, mounts)
		leave()
		if err != nil {
			return -1, err
		}
		at, name = next, rest
		if !more {
			fd, err = reopen(at, flags)
			if fd != at {
				leave()
			}
			return fd, err
		}
	}
}

// create makes a file. With O_EXCL it is a new one, which is no link and no mount.
func create(at int, component string, flags int, mode uint32, home uint64, mounts Mounts) (int, error) {
	fd, err := openat(at, component, flags|unix.O_NOFOLLOW, mode)
	if err != unix.EEXIST {
		return fd, err
	}
	there, other := step(at, component, anything, home, mounts)
	if other == nil {
		unix.Close(there)
	}
	if other == unix.EXDEV {
		return -1, other
	}
	return -1, err
}

// wanted is what a component may be.
type wanted int

const (
	anything wanted = iota // but a symbolic link
	aDirectory
	evenALink
)

// step opens a component with O_PATH if Open may go there.
func step(at int, component string, want wanted, home uint64, mounts Mounts) (int, error) {
	fd, err := openat(at, component, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := allowed(fd, want, home, mounts); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func allowed(fd int, want wanted, home uint64, mounts Mounts) error {
	if mounts == RefuseMounts {
		// The device does not differ: a bind mount shows the same filesystem.
		id, err := mountID(fd)
		if err != nil {
			return err
		}
		if id != home {
			return unix.EXDEV
		}
	}
	kind, err := kindOf(fd)
	switch {
	case err != nil:
		return err
	case kind == unix.S_IFLNK && want != evenALink: // a magic link of /proc as well
		return unix.ELOOP
	case want == aDirectory && kind != unix.S_IFDIR:
		return unix.ENOTDIR
	}
	return nil
}

// kindOf returns the type of a file, which never changes: no filesystem needs to be
// asked for it. Before Linux 4.11 there is no way not to ask.
func kindOf(fd int) (uint32, error) {
	var x unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &x); err == nil {
		return uint32(x.Mode) & unix.S_IFMT, nil
	}
	var s unix.Stat_t
	err := unix.Fstat(fd, &s)
	return s.Mode & unix.S_IFMT, err
}

// reopen opens what an O_PATH descriptor shows, and nothing else. Another O_PATH
// descriptor is opened through /proc, which does not look into the directory.
func reopen(fd, flags int) (int, error) {
	switch looking := flags&unix.O_PATH != 0; {
	case looking && flags&unix.O_DIRECTORY == 0:
		return fd, nil
	case !looking && flags&unix.O_DIRECTORY != 0:
		return openat(fd, ".", flags, 0)
	}
	return openat(unix.AT_FDCWD, ProcPath(fd), flags&^unix.O_NOFOLLOW, 0)
}

// ProcPath returns a path to what a descriptor is of, whatever it is called by now, for calls
// that take no descriptor: proc_pid_fd(5).
func ProcPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func openat(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
