// Package quota limits what a directory may hold, in the way of the filesystem
// that it is on: by project quotas on XFS and ext4, by a subvolume and its
// qgroup on btrfs, and on any other not at all.
//
// Detect tells which it is. The directory is then made by Create, limited by Set
// and looked at by Get; Remove takes the limits away once the directory is gone.
// Each is a few system calls, whatever the directory holds.
//
// Limits are a guard against accidents, not a wall. On XFS and ext4 the owner of
// a file may take it out of its project, unless the owner's processes run in a
// user namespace (hostUsers: false). On btrfs anybody may make subvolumes inside
// the directory: they are not counted with full quotas, and with simple ones
// they are unless they are made with other qgroups.
package quota

import (
	"fmt"
	"os"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

// Kind names how a filesystem limits directories.
type Kind string

const (
	XFS   Kind = "xfs"
	Ext4  Kind = "ext4"
	Btrfs Kind = "btrfs"
	// None is the kind that limits nothing.
	None Kind = "none"
)

// ID is what a filesystem counts a directory by: a project ID on XFS and ext4,
// which the caller chooses; the subvolume's ID on btrfs, which btrfs chooses and
// never gives twice. 0 is no directory's.
type ID uint64

// Quota limits directories of one filesystem. They are given as descriptors,
// which it does not keep, opened where they were made and not through a bind
// mount. Its methods may be called at the same time for different directories.
type Quota interface {
	Kind() Kind

	// Create makes a directory that Set can limit, for root alone (0700), and
	// returns its ID: wish, or the one that the filesystem gave it. name has
	// no slash.
	Create(parent *os.File, name string, wish ID) (ID, error)

	// Set puts the directory's ID and limits in place, or back after somebody
	// changed them. What a directory holds before it is first set is not
	// counted: that call belongs right after Create. A limit below what is used
	// already is kept, and stops further writes.
	//
	// On btrfs a power cut can undo the last half minute's calls: set the limits
	// again at start. And removing files takes room there, so that a full
	// directory may have to lose its limit before it can be emptied.
	Set(dir *os.File, id ID, limit Limit) error

	// Get tells the limit and the use of a directory. The limit is the one that
	// holds: at least what was set, in whole blocks; none if the directory has
	// lost its ID. What was just written may not be counted before it is synced.
	// Kind None cannot tell: errors.ErrUnsupported.
	Get(dir *os.File, id ID) (Limit, Usage, error)

	// Used tells whether an ID has files or limits anywhere on the filesystem
	// that fs is a directory of, whoever made them: docker, podman and kubelet
	// use project IDs too. Some time may pass from a file's removal until it is
	// not counted any more.
	Used(fs *os.File, id ID) (bool, error)

	// Remove drops the limits of a directory that was removed. It does not fail
	// if there are none, and returns ErrBusy while the filesystem is still
	// clearing the directory away.
	Remove(fs *os.File, id ID) error
}

// Limit is what a directory may hold, itself included; 0 means any amount.
type Limit struct {
	Bytes  int64
	Inodes int64 // files and directories; btrfs cannot limit them
}

// Usage is what a directory holds, itself included.
type Usage struct {
	Bytes  int64
	Inodes int64 // 0 on btrfs, which does not count them
}

// maxLimit is more than any filesystem holds. Closer to the largest int64 the
// kernel overflows where it rounds up.
const maxLimit = 1 << 60

func check(id ID, limit Limit) error {
	switch {
	case id == 0:
		return fmt.Errorf("quota: %w: ID 0 belongs to all that is not limited", errdefs.ErrInvalid)
	case limit.Bytes < 0 || limit.Inodes < 0:
		return fmt.Errorf("quota: %w: a limit of %d bytes and %d inodes is negative", errdefs.ErrInvalid, limit.Bytes, limit.Inodes)
	case limit.Bytes > maxLimit || limit.Inodes > maxLimit:
		return fmt.Errorf("quota: %w: a limit of %d bytes and %d inodes is more than any filesystem holds", errdefs.ErrInvalid, limit.Bytes, limit.Inodes)
	}
	return nil
}
