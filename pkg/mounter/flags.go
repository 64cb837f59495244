package mounter

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/beneath"
)

// mountFlags are the MS_* flags of mount(2) that a bind mount has of its own.
type mountFlags uintptr

// flagNames are the words of /proc/self/mountinfo for them.
var flagNames = map[string]mountFlags{
	"ro":          unix.MS_RDONLY,
	"nosuid":      unix.MS_NOSUID,
	"nodev":       unix.MS_NODEV,
	"noexec":      unix.MS_NOEXEC,
	"noatime":     unix.MS_NOATIME,
	"relatime":    unix.MS_RELATIME,
	"nodiratime":  unix.MS_NODIRATIME,
	"nosymfollow": unix.MS_NOSYMFOLLOW,
}

// atimeFlags exclude each other. mountinfo has no word for the last.
const atimeFlags mountFlags = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME

// with returns the flags with the options set that CheckOptions accepts.
func (f mountFlags) with(options []string) mountFlags {
	for _, option := range options {
		flag := flagNames[option]
		if flag&atimeFlags != 0 {
			f &^= atimeFlags
		}
		f |= flag
	}
	return f
}

// flagsOf returns the flags of the mount that an open directory is on.
func flagsOf(dir *os.File) (mountFlags, error) {
	id, err := beneath.MountID(dir)
	if err != nil {
		return 0, err
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		found := uint64(m.ID) == id
		return !found, found
	})
	if err != nil {
		return 0, fmt.Errorf("the mount table cannot be read: %w", err)
	}
	if len(mounts) == 0 {
		return 0, errors.New("the mount of " + dir.Name() + " is not in the mount table")
	}
	var f mountFlags
	for word := range strings.SplitSeq(mounts[0].Options, ",") {
		f |= flagNames[word]
	}
	if f&atimeFlags == 0 {
		f |= unix.MS_STRICTATIME
	}
	return f, nil
}
