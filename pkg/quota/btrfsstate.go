package quota

import (
	"errors"
	"os"
)

// groupState is what btrfs says of its quotas while they are on.
type groupState struct {
	simple bool
	lost   bool // count of what subvolumes hold
}

// readGroupState returns ErrOff if quotas are off.
func readGroupState(fs *os.File) (groupState, error) {
	flags, err := quotaFlags(fs)
	if err != nil {
		return groupState{}, err
	}
	if flags&quotaOn == 0 {
		return groupState{}, offAt(fs, off{why: "btrfs's quotas are off"})
	}
	state := groupState{simple: flags&quotaSimple != 0}
	if flags&quotaInconsistent != 0 {
		state.lost, err = lostCount(fs)
	}
	return state, err
}

// lostCount finds out whether quotas that are not consistent will stay so.
func lostCount(fs *os.File) (bool, error) {
	var rescan rescanArgs
	if err := ioctl("get state of rescan", fs, rescanStatus, &rescan); err != nil || rescan.running != 0 {
		return false, err
	}
	// One that has just ended may not have written the flags yet.
	if err := ioctl[byte]("wait for rescan of", fs, rescanWait, nil); err != nil {
		return false, err
	}
	flags, err := quotaFlags(fs)
	return flags&quotaInconsistent != 0, err
}

// countingGroups is readGroupState that returns ErrOff also if the count is lost.
func countingGroups(fs *os.File) (groupState, error) {
	state, err := readGroupState(fs)
	if err == nil && state.lost {
		err = offAt(fs, off{"btrfs's quotas have lost count", "run `btrfs quota rescan` on its mount point"})
	}
	return state, err
}

// checkGroups returns ErrOff unless qgroups are counted and enforced.
func checkGroups(fs *os.File) error {
	_, err := countingGroups(fs)
	return err
}

// group is the qgroup that a directory's limit is set on. With full quotas it is
// the subvolume's own, 0/<id>. With simple ones it is the group 1/<id> above it,
// in which btrfs puts the subvolumes that are made inside, too.
func (s groupState) group(id ID) uint64 {
	if s.simple {
		return 1<<levelShift | uint64(id)
	}
	return uint64(id)
}

// groupsOf are the qgroups that a subvolume may have: none if quotas are off.
func groupsOf(fs *os.File, id ID) ([]uint64, error) {
	state, err := readGroupState(fs)
	switch {
	case errors.Is(err, ErrOff):
		return nil, nil
	case err != nil:
		return nil, err
	case state.simple:
		return []uint64{uint64(id), state.group(id)}, nil
	}
	return []uint64{uint64(id)}, nil
}
