package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// btrfs limits directories that are subvolumes, by their qgroups. A directory's
// ID is its subvolume's, and btrfs never gives one twice.
type btrfs struct {
	// simple tells that the filesystem has simple quotas: they cost less than
	// full ones and can hold nested subvolumes to a limit.
	simple bool
}

func (b btrfs) Kind() Kind { return Btrfs }

// group is the qgroup that a directory's limit is set on. With full quotas it is
// the subvolume's own, 0/<id>. With simple ones it is the group 1/<id> above it,
// in which btrfs puts the subvolumes that are made inside, too.
func (b btrfs) group(id ID) uint64 {
	if b.simple {
		return 1<<levelShift | uint64(id)
	}
	return uint64(id)
}

func (b btrfs) Create(parent *os.File, name string, _ ID) (ID, error) {
	var args volArgs
	if len(name) >= len(args.name) {
		return 0, pathError("create subvolume "+name[:32]+"...", parent, unix.ENAMETOOLONG)
	}
	copy(args.name[:], name)
	if err := ioctl("create subvolume "+name+" in", parent, subvolumeCreate, &args); err != nil {
		return 0, err
	}
	id, err := secure(parent, name)
	if err != nil {
		return 0, errors.Join(err, rmdir(parent, name))
	}
	return id, nil
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

func (b btrfs) Set(dir *os.File, id ID, limit Limit) error {
	if err := check(id, limit); err != nil {
		return err
	}
	if limit.Inodes > 0 {
		return fmt.Errorf("%s: btrfs cannot limit the number of files: %w", dir.Name(), errors.ErrUnsupported)
	}
	if err := checkSubvolume(dir, id); err != nil {
		return err
	}
	// A change of qgroups takes room in the subvolume through which it is asked
	// for. A full one has none, and could not be made to grow.
	outside, err := openDir(dir, "..")
	if err != nil {
		return err
	}
	defer outside.Close()
	if b.simple {
		if err := group(outside, id, b.group(id)); err != nil {
			return err
		}
	}
	args := limitArgs{group: b.group(id), flags: limitBytes, maxBytes: uint64(limit.Bytes)}
	if limit.Bytes == 0 {
		args.maxBytes = noLimit
	}
	err = ioctl("limit qgroup", outside, groupLimit, &args)
	if errors.Is(err, unix.ENOENT) { // an admin removed it
		create := createArgs{create: 1, group: args.group}
		if err := ioctl("create qgroup", outside, groupCreate, &create); err != nil {
			return err
		}
		err = ioctl("limit qgroup", outside, groupLimit, &args)
	}
	return err
}

// group puts a subvolume's qgroup into another, which is made if need be.
func group(fs *os.File, id ID, above uint64) error {
	create := createArgs{create: 1, group: above}
	if err := ioctl("create qgroup", fs, groupCreate, &create); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	assign := assignArgs{assign: 1, member: uint64(id), group: above}
	if err := ioctl("assign qgroup", fs, groupAssign, &assign); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// checkSubvolume returns an error unless dir is the subvolume of this ID.
func checkSubvolume(dir *os.File, id ID) error {
	is, err := subvolumeID(dir)
	if err != nil {
		return err
	}
	if is != id {
		return fmt.Errorf("%s is subvolume %d, not %d: somebody has replaced it", dir.Name(), is, id)
	}
	return nil
}

func (b btrfs) Get(dir *os.File, id ID) (Limit, Usage, error) {
	if err := check(id, Limit{}); err != nil {
		return Limit{}, Usage{}, err
	}
	if err := checkSubvolume(dir, id); err != nil {
		return Limit{}, Usage{}, err
	}
	used, exists, err := groupUsage(dir, b.group(id))
	if err == nil && !exists {
		err = fmt.Errorf("%s: btrfs does not count subvolume %d: are its quotas switched off?", dir.Name(), id)
	}
	if err != nil {
		return Limit{}, Usage{}, err
	}
	maximum, err := groupMaximum(dir, b.group(id))
	return Limit{Bytes: maximum}, Usage{Bytes: used}, err
}

func (b btrfs) Used(fs *os.File, id ID) (bool, error) {
	if err := check(id, Limit{}); err != nil {
		return false, err
	}
	exists, err := subvolumeExists(fs, id)
	for _, group := range []uint64{uint64(id), b.group(id)} {
		if err == nil && !exists {
			_, exists, err = groupUsage(fs, group)
		}
	}
	return exists, err
}

// Remove drops the qgroups of a subvolume, which outlive it: newer kernels drop
// 0/<id> by themselves.
func (b btrfs) Remove(fs *os.File, id ID) error {
	if err := check(id, Limit{}); err != nil {
		return err
	}
	exists, err := subvolumeExists(fs, id)
	if err != nil {
		return err
	}
	if exists {
		return fmt.Errorf("%s: btrfs %w clearing away subvolume %d", fs.Name(), errdefs.ErrBusy, id)
	}
	for _, group := range []uint64{uint64(id), b.group(id)} {
		remove := createArgs{group: group}
		err := ioctl("remove qgroup", fs, groupCreate, &remove)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTCONN): // no qgroup, or quotas are off
		case errors.Is(err, unix.EBUSY):
			return fmt.Errorf("%s: qgroup %d/%d is %w", fs.Name(), group>>levelShift, id, errdefs.ErrBusy)
		case err != nil:
			return err
		}
	}
	return nil
}

// tryBtrfs finds out whether qgroups work: btrfs says that they count, and takes
// a change of limits that changes nothing.
func tryBtrfs(dir *os.File) (Quota, error) {
	// Asked before the flags, which are written down later than they change.
	var rescan rescanArgs
	if err := ioctl("get state of rescan", dir, rescanStatus, &rescan); err != nil {
		return nil, err
	}
	flags, err := quotaFlags(dir)
	switch {
	case err != nil:
		return nil, err
	case flags&quotaOn == 0:
		return nil, errors.New("its quotas are off")
	case flags&quotaInconsistent != 0 && rescan.running == 0:
		return nil, errors.New("its quotas have lost count, `btrfs quota rescan` counts anew")
	}
	// Group 0 stands for the qgroup of dir's own subvolume.
	if err := ioctl("limit qgroup", dir, groupLimit, &limitArgs{}); err != nil && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	return btrfs{simple: flags&quotaSimple != 0}, nil
}
