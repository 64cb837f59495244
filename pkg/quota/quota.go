// Package quota limits what a directory may hold, by the means of the filesystem
// that it is on: project quotas on XFS and ext4, a subvolume and its qgroup on
// btrfs. Other filesystems cannot.
//
// Detect returns the Quota of a filesystem. Its Create makes a directory, Set
// limits it and Get reports its use; Remove drops the limits once the directory
// is gone. Each is a few system calls, whatever the directory holds. Enabled
// reports whether an administrator has switched quotas on or off since.
//
// Limits guard against accidents; not all are walls. On XFS and ext4 the owner of
// a file may take it out of its project, or into another, unless the owner's
// processes run in a user namespace (hostUsers: false): there limits hold. On
// btrfs anybody may make subvolumes inside the directory, in a user namespace,
// too. Full quotas do not count them. Simple ones do, unless they are made with a
// request for other qgroups.
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
	// None is the kind where there is no Quota.
	None Kind = "none"
)

// KindOf returns the kind of a Quota, None if it is nil.
func KindOf(q Quota) Kind {
	if q == nil {
		return None
	}
	return q.Kind()
}

// ID is what a filesystem counts a directory by: a project ID on XFS and ext4,
// which the caller chooses; the subvolume's ID on btrfs, which btrfs chooses and
// never gives twice. 0 is no directory's.
type ID uint64

// Quota limits directories of one filesystem. It takes open directories and keeps
// none of them; they are opened where they were made, not through a bind mount.
// Its methods may be called at the same time for different directories.
type Quota interface {
	Kind() Kind

	// Create makes a directory that Set can limit, for root alone (0700), and
	// returns its ID: the requested one, or on btrfs the one that the filesystem
	// chose. name has no slash. It returns ErrOff, and makes nothing, where the
	// filesystem keeps no limits now.
	Create(parent *os.File, name string, requested ID) (ID, error)

	// Set puts the directory's ID and limits in place, or back after they were
	// changed. What a directory holds before it is first set is not counted:
	// that call belongs right after Create. A limit below what is used already
	// is kept, and stops further writes. It returns ErrOff if quotas are off.
	//
	// On btrfs a power cut can undo the last half minute's calls: set the limits
	// again at start. And removing files takes room there, so that a full
	// directory may have to lose its limit before it can be emptied.
	Set(dir *os.File, id ID, limit Limit) error

	// Get returns the limit and the use of a directory. The limit is the one
	// that holds: at least what was set, in whole blocks; none if the directory
	// has lost its ID, or limits are not enforced. What was just written may not
	// be counted before it is synced. It returns ErrOff if nothing is counted,
	// or not reliably.
	//
	// Simple quotas of btrfs count what was written since they were switched on.
	Get(dir *os.File, id ID) (Limit, Usage, error)

	// Used reports whether an ID has files or limits anywhere on the filesystem
	// that fs is a directory of, whoever made them: docker, podman and kubelet
	// use project IDs too. A removed file may count for some time.
	Used(fs *os.File, id ID) (bool, error)

	// Remove drops the limits of a directory that was removed. It does not fail
	// if there are none, and returns ErrBusy while the filesystem is still
	// clearing the directory away. It returns ErrOff where limits may outlast
	// quotas that are off: on XFS and ext4. A subvolume that is somewhere else on
	// the btrfs keeps its own.
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
