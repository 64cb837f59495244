package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// btrfs limits directories that are subvolumes, by their qgroups. A directory's
// ID is its subvolume's, and btrfs never gives one twice. Quotas are full, or
// simple, which cost less and can hold nested subvolumes to a limit; each call
// asks which they are, because an administrator may change it at any time.
type btrfs struct{}

func (btrfs) Kind() Kind { return Btrfs }

func (btrfs) Create(parent *os.File, name string, _ ID) (ID, error) {
	if err := checkGroups(parent); err != nil {
		return 0, err
	}
	return CreateSubvolume(parent, name)
}

func (btrfs) Set(dir *os.File, id ID, limit Limit) error {
	if err := check(id, limit); err != nil {
		return err
	}
	if limit.Inodes > 0 {
		return fmt.Errorf("%s: btrfs cannot limit the number of files: %w", dir.Name(), errors.ErrUnsupported)
	}
	if err := checkSubvolume(dir, id); err != nil {
		return err
	}
	state, err := readGroupState(dir)
	if err != nil {
		return err
	}
	// A change of qgroups takes room in the subvolume through which it is asked
	// for. A full one has none, and could not be made to grow.
	outside, err := openDir(dir, "..")
	if err != nil {
		return err
	}
	defer outside.Close()
	if state.simple {
		if err := assign(outside, id, state.group(id)); err != nil {
			return err
		}
	}
	args := limitArgs{group: state.group(id), flags: limitBytes, maxBytes: uint64(limit.Bytes)}
	if limit.Bytes == 0 {
		args.maxBytes = noLimit
	}
	err = ioctl("limit qgroup", outside, groupLimit, &args)
	if errors.Is(err, unix.ENOENT) { // an administrator removed it
		create := createArgs{create: 1, group: args.group}
		if err := ioctl("create qgroup", outside, groupCreate, &create); err != nil {
			return err
		}
		err = ioctl("limit qgroup", outside, groupLimit, &args)
	}
	return err
}

// assign puts a subvolume's qgroup into another, which is made if need be.
func assign(fs *os.File, id ID, above uint64) error {
	create := createArgs{create: 1, group: above}
	if err := ioctl("create qgroup", fs, groupCreate, &create); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	args := assignArgs{assign: 1, member: uint64(id), group: above}
	if err := ioctl("assign qgroup", fs, groupAssign, &args); err != nil && !errors.Is(err, unix.EEXIST) {
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
		return fmt.Errorf("%s is subvolume %d, not %d: it was replaced", dir.Name(), is, id)
	}
	return nil
}

func (btrfs) Get(dir *os.File, id ID) (Limit, Usage, error) {
	if err := check(id, Limit{}); err != nil {
		return Limit{}, Usage{}, err
	}
	if err := checkSubvolume(dir, id); err != nil {
		return Limit{}, Usage{}, err
	}
	state, err := countingGroups(dir)
	if err != nil {
		return Limit{}, Usage{}, err
	}
	limited := state.group(id)
	used, exists, err := groupUsage(dir, limited)
	if err == nil && !exists { // quotas were off for a while, and Set puts it back
		limited = uint64(id)
		used, exists, err = groupUsage(dir, limited)
	}
	if err == nil && !exists {
		err = fmt.Errorf("%s: btrfs does not count subvolume %d: an administrator has removed its qgroup", dir.Name(), id)
	}
	if err != nil {
		return Limit{}, Usage{}, err
	}
	maximum, err := groupMaximum(dir, limited)
	return Limit{Bytes: maximum}, Usage{Bytes: used.referenced}, err
}

func (btrfs) Used(fs *os.File, id ID) (bool, error) {
	if err := check(id, Limit{}); err != nil {
		return false, err
	}
	exists, err := subvolumeExists(fs, id)
	if err != nil || exists {
		return exists, err
	}
	groups, err := groupsOf(fs, id)
	for _, group := range groups {
		if err == nil && !exists {
			_, exists, err = groupUsage(fs, group)
		}
	}
	return exists, err
}

// Remove drops the qgroups of a subvolume, which outlive it: newer kernels drop
// 0/<id> by themselves.
func (btrfs) Remove(fs *os.File, id ID) error {
	if err := check(id, Limit{}); err != nil {
		return err
	}
	exists, err := subvolumeExists(fs, id)
	if err != nil {
		return err
	}
	if exists {
		// What was removed was not the subvolume, but the stub that a snapshot has in
		// its place, or a copy of what it holds.
		elsewhere, err := subvolumeParent(fs, uint64(id))
		if err != nil || elsewhere.tree != 0 {
			return err
		}
		return fmt.Errorf("%s: btrfs %w clearing away subvolume %d", fs.Name(), errdefs.ErrBusy, id)
	}
	groups, err := groupsOf(fs, id)
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := countDown(fs, group); err != nil {
			return err
		}
		remove := createArgs{group: group}
		err := ioctl("remove qgroup", fs, groupCreate, &remove)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, ErrOff): // no qgroup, or quotas were switched off
		case errors.Is(err, unix.EBUSY):
			return fmt.Errorf("%s: qgroup %d/%d is %w", fs.Name(), group>>levelShift, id, errdefs.ErrBusy)
		case err != nil:
			return err
		}
	}
	return nil
}

// countDown has btrfs count a qgroup down to what it holds without its subvolume, which it
// does in the commit after that was cleared away. If the qgroup were removed before, Linux
// 6.11 and newer would distrust all their counts, and limit nothing more. Older ones may
// never come to nothing, and take no notice.
func countDown(fs *os.File, group uint64) error {
	held, _, err := groupUsage(fs, group)
	if err != nil || held.referenced == 0 || checkGroups(fs) != nil { // which counts nothing down
		return err
	}
	return ClearAway(fs)
}

// tryBtrfs finds out whether btrfs takes a change of limits, one that changes
// nothing.
func tryBtrfs(dir *os.File) (Quota, error) {
	// Group 0 stands for the qgroup of dir's own subvolume.
	if err := ioctl("limit qgroup", dir, groupLimit, &limitArgs{}); err != nil && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	return btrfs{}, nil
}
