package beneath

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
		next, err := step(at, component, more || flags&unix.O_DIRECTORY != 0, home, mounts)
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
	there, other := step(at, component, false, home, mounts)
	if other == nil {
		unix.Close(there)
	}
	if other == unix.EXDEV {
		return -1, other
	}
	return -1, err
}

// step opens a component with O_PATH if Open may go there.
func step(at int, component string, wantDir bool, home uint64, mounts Mounts) (int, error) {
	fd, err := openat(at, component, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := allowed(fd, wantDir, home, mounts); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func allowed(fd int, wantDir bool, home uint64, mounts Mounts) error {
	if mounts == RefuseMounts {
		// The device would not tell: a bind mount shows the same filesystem.
		id, err := mountID(fd)
		if err != nil {
			return err
		}
		if id != home {
			return unix.EXDEV
		}
	}
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	switch kind := s.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK: // a magic link of /proc as well
		return unix.ELOOP
	case wantDir && kind != unix.S_IFDIR:
		return unix.ENOTDIR
	}
	return nil
}

// reopen opens what an O_PATH descriptor shows, and nothing else.
func reopen(fd, flags int) (int, error) {
	switch {
	case flags&unix.O_DIRECTORY != 0:
		return openat(fd, ".", flags, 0)
	case flags&unix.O_PATH != 0:
		return fd, nil
	}
	return openat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), flags&^unix.O_NOFOLLOW, 0)
}

func openat(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
