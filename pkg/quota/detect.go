package quota

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// filesystem is one that can limit directories.
type filesystem struct {
	kind Kind
	// check returns ErrOff if it does not now.
	check func(dir *os.File) error
	// try makes sure of that on a directory, after check.
	try func(dir *os.File) (Quota, error)
	// remedy says how an administrator makes it limit them.
	remedy string
}

// filesystems are known by their number in statfs(2).
var filesystems = map[int64]filesystem{
	unix.XFS_SUPER_MAGIC: {
		kind:   XFS,
		check:  checkProjects,
		try:    func(dir *os.File) (Quota, error) { return tryProject(dir, XFS) },
		remedy: "unmount it and mount it with the option prjquota (the root filesystem: rootflags=prjquota on the kernel's command line)",
	},
	unix.EXT4_SUPER_MAGIC: {
		kind:   Ext4,
		check:  checkProjects,
		try:    func(dir *os.File) (Quota, error) { return tryProject(dir, Ext4) },
		remedy: "unmount it, run `tune2fs -O project,quota -Q prjquota` on its device and mount it with the option prjquota (a new one: `mkfs.ext4 -O quota,project -E quotatype=prjquota`)",
	},
	unix.BTRFS_SUPER_MAGIC: {
		kind:   Btrfs,
		check:  checkGroups,
		try:    tryBtrfs,
		remedy: "run `btrfs quota enable --simple` on its mount point (without --simple before Linux 6.7)",
	},
}

// Enabled returns which limits the filesystem of an open directory keeps now:
// None if its quotas are switched off, or it has none. It costs a few system
// calls and changes nothing, so that it can be asked again and again while an
// administrator may switch quotas on or off. An error says nothing about limits.
// ext4 keeps none while it is mounted read-only, and they return with the writes.
//
// Where Enabled returns another kind than before, Detect finds out the rest.
func Enabled(dir *os.File) (Kind, error) {
	f, err := filesystemOf(dir)
	if err == nil {
		err = f.check(dir)
	}
	switch {
	case errors.Is(err, ErrOff):
		return None, nil
	case err != nil:
		return "", err
	}
	return f.kind, nil
}

// Detect finds out by trying how directories made in dir can be limited. Where
// they cannot, it returns no Quota, and as error why, and what an administrator
// can do: an ErrOff, unless it failed to find out. It tries in a directory of its
// own, ".new-quota-probe", which is gone when it returns; only one Detect at a
// time may work in dir.
func Detect(dir *os.File) (Quota, error) {
	f, err := filesystemOf(dir)
	if err != nil {
		return nil, err
	}
	var q Quota
	err = f.check(dir)
	if err == nil {
		q, err = f.try(dir)
	}
	if why := (off{}); errors.As(err, &why) {
		why.remedy = cmp.Or(why.remedy, f.remedy)
		return nil, fmt.Errorf("%s is on %s, which does not limit directories now: %w", dir.Name(), f.kind, why)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is on %s; whether that limits directories cannot be found out: %w", dir.Name(), f.kind, err)
	}
	return q, nil
}

// filesystemOf returns ErrOff for one that never limits directories.
func filesystemOf(dir *os.File) (filesystem, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return filesystem{}, &os.PathError{Op: "statfs", Path: dir.Name(), Err: err}
	}
	f, ok := filesystems[int64(stat.Type)]
	if !ok {
		return filesystem{}, off{why: dir.Name() + " is on a filesystem that cannot limit directories: only XFS, ext4 and btrfs can"}
	}
	return f, nil
}
