package quota

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// filesystem is one that can limit directories.
type filesystem struct {
	kind Kind
	// try returns why it does not, here and now.
	try func(dir *os.File) (Quota, error)
	// remedy tells the admin how it would.
	remedy string
}

// filesystems are known by their number in statfs(2).
var filesystems = map[int64]filesystem{
	unix.XFS_SUPER_MAGIC: {
		kind:   XFS,
		try:    func(dir *os.File) (Quota, error) { return tryProject(dir, XFS) },
		remedy: "unmount it and mount it with the option prjquota (the root filesystem: rootflags=prjquota on the kernel's command line)",
	},
	unix.EXT4_SUPER_MAGIC: {
		kind:   Ext4,
		try:    func(dir *os.File) (Quota, error) { return tryProject(dir, Ext4) },
		remedy: "unmount it, run `tune2fs -O project,quota -Q prjquota` on its device and mount it with the option prjquota (a new one: `mkfs.ext4 -O quota,project -E quotatype=prjquota`)",
	},
	unix.BTRFS_SUPER_MAGIC: {
		kind:   Btrfs,
		try:    tryBtrfs,
		remedy: "run `btrfs quota enable --simple` on its mount point (without --simple before Linux 6.7)",
	},
}

// Detect finds out by trying how directories made in dir can be limited. Where
// they cannot, it returns a Quota of kind None, and an error that tells the
// admin why and what to do. It tries in a directory of its own, ".new-quota-probe",
// which is gone when it returns; only one Detect at a time may work in dir.
func Detect(dir *os.File) (Quota, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return none{}, &os.PathError{Op: "statfs", Path: dir.Name(), Err: err}
	}
	f, ok := filesystems[int64(stat.Type)]
	if !ok {
		return none{}, fmt.Errorf("%s is on a filesystem that cannot limit directories: only XFS, ext4 and btrfs can", dir.Name())
	}
	q, err := f.try(dir)
	if err != nil {
		return none{}, fmt.Errorf("%s is on %s, which does not limit directories now: %w; to have limits enforced, %s", dir.Name(), f.kind, err, f.remedy)
	}
	return q, nil
}
