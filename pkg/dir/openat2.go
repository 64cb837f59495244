package dir

import "golang.org/x/sys/unix"

// openat2 lets the kernel do it, in one call.
func openat2(dir int, name string, flags int, mode uint32, mounts Mounts) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_CREAT != 0 { // no other call may have one
		how.Mode = uint64(mode)
	}
	if mounts == RefuseMounts {
		how.Resolve |= unix.RESOLVE_NO_XDEV
	}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: a rename raced with the look-up
			return fd, err
		}
	}
}
