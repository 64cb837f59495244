// Package sysfiles knows the names of what filesystems, and the programs that look
// after them, leave in a filesystem's root by themselves. Nobody has put it there to
// be kept, and it does not say whose the filesystem is.
//
// What people write there themselves is not among it, a README least of all: it is
// often put below a mount point, to say that the disk is missing.
package sysfiles

import "strings"

var names = map[string]bool{
	"lost+found":   true, // mkfs.ext4, e2fsck
	"aquota.user":  true, // quotacheck(8)
	"aquota.group": true,
	"quota.user":   true,
	"quota.group":  true,
	".snapshots":   true, // snapper, on btrfs
	".zfs":         true, // ZFS with snapdir=visible
	".fscrypt":     true, // fscrypt setup
	".Trash":       true, // desktops; see below

	"DATALOSS_WARNING_README.txt": true, // Azure's agent, on the disk that comes with a machine
}

// userTrash is followed by a user's number.
const userTrash = ".Trash-"

// Known reports whether an entry of a filesystem's root is called like one of these.
func Known(name string) bool {
	user, ok := strings.CutPrefix(name, userTrash)
	return names[name] || ok && user != "" && strings.Trim(user, "0123456789") == ""
}
