package dir

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// IsNoSpace reports whether an error is one of the ways in which a disk or a
// process is full, or in which a disk does not take writes: reasons to try
// another disk or node.
func IsNoSpace(err error) bool {
	return isOneOf(err, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EMLINK)
}

// IsPassing reports whether an error is about this process or machine and says
// nothing of the disk: the same call may well succeed a moment later.
func IsPassing(err error) bool {
	return isOneOf(err, unix.EINTR, unix.EMFILE, unix.ENFILE, unix.ENOMEM)
}

// IsUnreadable reports whether an error is about the machine or the disk, and
// says nothing of the file that was to be read.
func IsUnreadable(err error) bool {
	return IsNoSpace(err) || IsPassing(err) || errors.Is(err, unix.EUCLEAN)
}

func isOneOf(err error, errnos ...error) bool {
	return slices.ContainsFunc(errnos, func(errno error) bool { return errors.Is(err, errno) })
}
