package mounter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// bind is a mount.Interface whose mounts and unmounts are system calls: the
// image holds no mount program.
type bind struct {
	*mount.Mounter
}

// NewBind returns a mount.Interface that makes bind mounts. It needs Linux 5.12
// and CAP_SYS_ADMIN.
func NewBind() mount.Interface { return bind{&mount.Mounter{}} }

// Mount attaches the directory source at target, with its options in force from
// the first moment: the mount is made aside, given its options and only then
// moved into place (open_tree(2), mount_setattr(2), move_mount(2)).
func (bind) Mount(source, target, _ string, options []string) error {
	attr, err := mountAttr(options)
	if err != nil {
		return err
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return needsKernel("open_tree", err)
	}
	defer unix.Close(tree)
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return needsKernel("mount_setattr", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return needsKernel("move_mount", err)
	}
	return nil
}

// Unmount detaches what is mounted at target.
func (bind) Unmount(target string) error {
	return unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
}

func needsKernel(call string, err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%s: this kernel is too old, hostdir needs Linux 5.12", call)
	}
	return fmt.Errorf("%s: %w", call, err)
}
