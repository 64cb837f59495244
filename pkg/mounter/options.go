package mounter

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// always are the options of every published volume: no volume is a way to
// bring in setuid programs or device files.
var always = []string{"nosuid", "nodev"}

// attributes are the options that a bind mount can have of its own. All others
// belong to the filesystem, which volumes share.
var attributes = map[string]struct{ set, clear uint64 }{
	"ro":         {set: unix.MOUNT_ATTR_RDONLY},
	"nosuid":     {set: unix.MOUNT_ATTR_NOSUID},
	"nodev":      {set: unix.MOUNT_ATTR_NODEV},
	"noexec":     {set: unix.MOUNT_ATTR_NOEXEC},
	"noatime":    {set: unix.MOUNT_ATTR_NOATIME, clear: unix.MOUNT_ATTR__ATIME},
	"relatime":   {clear: unix.MOUNT_ATTR__ATIME}, // MOUNT_ATTR_RELATIME is 0
	"nodiratime": {set: unix.MOUNT_ATTR_NODIRATIME},
}

// CheckOptions returns ErrInvalid for a mount option that a volume cannot have.
func CheckOptions(options []string) error {
	for _, option := range options {
		if _, ok := attributes[option]; !ok {
			return fmt.Errorf("%w: mount option %q: a volume is a directory of a shared filesystem, it can have ro, noexec, noatime, relatime and nodiratime, and always has nosuid and nodev",
				errdefs.ErrInvalid, option)
		}
	}
	if slices.Contains(options, "noatime") && slices.Contains(options, "relatime") {
		return fmt.Errorf("%w: the mount options noatime and relatime exclude each other", errdefs.ErrInvalid)
	}
	return nil
}

// mountAttr translates options for mount_setattr(2). The mount is private: what
// is mounted below the disk's directory on the node does not show up in pods.
func mountAttr(options []string) unix.MountAttr {
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	for _, option := range options {
		attr.Attr_set |= attributes[option].set
		attr.Attr_clr |= attributes[option].clear
	}
	return attr
}
