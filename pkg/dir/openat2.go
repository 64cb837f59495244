package dir

import "golang.org/x/sys/unix"

// openat2 lets the kernel do it, in one call, but for what the kernel does not tell apart.
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
		switch err {
		case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename raced with the look-up
		case unix.EXDEV: // a mount, or something that was moved out of dir in that moment
			return walk(dir, name, flags, mode, mounts)
		default:
			return fd, err
		}
	}
}
