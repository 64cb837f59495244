package mounter

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/dir"
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

// has reports whether an option is in force.
func (f mountFlags) has(option string) bool { return f&flagNames[option] != 0 }

// flagsOf returns the flags of the mount that an open directory is on.
func flagsOf(d *os.File) (mountFlags, error) {
	m, err := dir.MountOf(d)
	if err != nil {
		return 0, err
	}
	var f mountFlags
	for word := range strings.SplitSeq(m.Options, ",") {
		f |= flagNames[word]
	}
	if f&atimeFlags == 0 {
		f |= unix.MS_STRICTATIME
	}
	return f, nil
}
