package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CreateSubvolume makes a btrfs subvolume, for root alone (0700), and returns its ID.
// name has no slash. Elsewhere than on btrfs the error is errors.ErrUnsupported.
func CreateSubvolume(parent *os.File, name string) (ID, error) {
	var args volArgs
	if err := setName(args.name[:], parent, name); err != nil {
		return 0, err
	}
	if err := ioctl("create subvolume "+name+" in", parent, subvolumeCreate, &args); err != nil {
		return 0, unsupported(err)
	}
	id, err := secure(parent, name)
	if err != nil {
		return 0, errors.Join(err, rmdir(parent, name))
	}
	return id, nil
}

// SnapshotSubvolume makes a snapshot of a subvolume, as it is at one moment, and returns
// its ID. Its top directory has the source's owner and mode. Where source is no
// subvolume's top directory the error is errors.ErrUnsupported. Subvolumes within the
// source are not in the snapshot: see HoldsSubvolumes.
func SnapshotSubvolume(parent *os.File, name string, source *os.File, readOnly bool) (ID, error) {
	if _, err := SubvolumeID(source); err != nil {
		return 0, err
	}
	args := snapshotArgs{source: int64(source.Fd())}
	if readOnly {
		args.flags = readOnlySubvolume
	}
	if err := setName(args.name[:], parent, name); err != nil {
		return 0, err
	}
	if err := ioctl("snapshot subvolume as "+name+" in", parent, snapshotCreate, &args); err != nil {
		return 0, unsupported(err)
	}
	snapshot, err := openDir(parent, name)
	if err != nil {
		return 0, err
	}
	defer snapshot.Close()
	return SubvolumeID(snapshot)
}

// RemoveSubvolume removes a subvolume with all that is in it, also one that is read-only;
// the filesystem clears it away in the background. The error is errors.ErrUnsupported
// for what is no subvolume, ENOTEMPTY while it holds others.
func RemoveSubvolume(parent *os.File, name string) error {
	var args volArgs
	if err := setName(args.name[:], parent, name); err != nil {
		return err
	}
	err := ioctl("remove subvolume "+name+" in", parent, subvolumeRemove, &args)
	if errors.Is(err, unix.EINVAL) {
		return errors.Join(errors.ErrUnsupported, err)
	}
	return unsupported(err)
}

// ClearAway makes btrfs commit what there is and begin to clear away removed subvolumes,
// which it does every half minute otherwise.
func ClearAway(fs *os.File) error { return ioctl[byte]("sync", fs, syncAll, nil) }

// SubvolumeID returns the ID of the subvolume whose top directory dir is. For any other
// directory the error is errors.ErrUnsupported.
func SubvolumeID(dir *os.File) (ID, error) {
	id, err := subvolumeID(dir)
	return id, unsupported(err)
}

// HoldsSubvolumes reports whether there are subvolumes within a subvolume.
func HoldsSubvolumes(dir *os.File) (bool, error) {
	var args nestedArgs
	err := ioctl("list subvolumes of", dir, subvolumesIn, &args)
	if errors.Is(err, unix.EOVERFLOW) {
		return true, nil
	}
	return args.found > 0, err
}

// Exclusive returns the bytes that a subvolume shares with no other one: what its removal
// gives back. fs is any directory of the filesystem. The error is ErrOff where btrfs does
// not know: quotas are off, have lost count, or are simple, and then what is shared counts
// as whoever's has written it first.
func Exclusive(fs *os.File, id ID) (int64, error) {
	state, err := countingGroups(fs)
	if err == nil && state.simple {
		err = offAt(fs, off{why: "btrfs's simple quotas do not count what subvolumes share"})
	}
	if err != nil {
		return 0, err
	}
	held, exists, err := groupUsage(fs, uint64(id))
	if err == nil && !exists {
		err = fmt.Errorf("%s: btrfs does not count subvolume %d: an administrator has removed its qgroup", fs.Name(), id)
	}
	return held.exclusive, err
}

func setName(to []byte, parent *os.File, name string) error {
	if len(name) >= len(to) {
		return pathError("find subvolume "+name[:32]+"...", parent, unix.ENAMETOOLONG)
	}
	copy(to, name)
	return nil
}

// secure takes away what the umask has left of a new subvolume's mode 0777.
func secure(parent *os.File, name string) (ID, error) {
	dir, err := openDir(parent, name)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	if err := dir.Chmod(0o700); err != nil {
		return 0, err
	}
	return subvolumeID(dir)
}
