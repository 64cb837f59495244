package mounter

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// bind is a mount.Interface whose mounts and unmounts are system calls: the
// image holds no mount program.
type bind struct {
	*mount.Mounter
	attach func(source, target string, options []string) error
}

// NewBind returns a mount.Interface that makes bind mounts. It needs
// CAP_SYS_ADMIN. Where Linux 5.12's system calls are missing, each mount is
// first prepared at aside: a directory that is made for that and removed again,
// whose parent is hostdir's alone.
func NewBind(aside string) mount.Interface {
	b := bind{Mounter: &mount.Mounter{}, attach: attachTree}
	if Fallback() != "" {
		a := &asideMount{dir: aside}
		_ = a.clear() // what a crash has left; if that fails, attach says so
		b.attach = a.attach
	}
	return b
}

// Mount attaches the directory source at target, with options that CheckOptions
// accepts in force from the first moment, for other mount namespaces too.
func (b bind) Mount(source, target, _ string, options []string) error {
	return b.attach(source, target, options)
}

// Unmount detaches what is mounted at target.
func (bind) Unmount(target string) error {
	return unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
}

// attachTree makes the mount where nobody sees it, gives it its options and only
// then moves it into place.
func attachTree(source, target string, options []string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	attr := mountAttr(options)
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// Fallback says what this kernel lacks for attachTree and what is weaker for it,
// "" if nothing is. Each call is tried once, on no file at all.
var Fallback = sync.OnceValue(func() string {
	const none = -1
	_, openTree := unix.OpenTree(none, "", unix.OPEN_TREE_CLOEXEC)
	for _, probe := range []struct {
		call string
		err  error
	}{
		{"open_tree", openTree},
		{"move_mount", unix.MoveMount(none, "", none, "", unix.MOVE_MOUNT_F_EMPTY_PATH)},
		{"mount_setattr", unix.MountSetattr(none, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID})},
	} {
		// EPERM is what old seccomp profiles answer for a call that they do
		// not know.
		if errors.Is(probe.err, unix.ENOSYS) || errors.Is(probe.err, unix.EPERM) {
			return fmt.Sprintf("%s(2) is not available here (%v; it takes Linux 5.12 and a seccomp profile that allows it): "+
				"volumes are mounted with mount(2), prepared aside and checked afterwards; "+
				"a crash between these steps leaves a mount in the directory of hostdir's socket until it starts again", probe.call, probe.err)
		}
	}
	return ""
})
