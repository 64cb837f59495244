// Package guest is what the virtual machine's init and those who boot it have to agree on: what lies where in the
// machine, and the words they exchange over its port. Each word is a line of JSON.
package guest

import "strings"

// Where things are in the machine.
const (
	Config   = "/config.json" // holds Disks
	Modules  = "/modules"     // the kernel's, named so that each comes after those that it needs
	Programs = "/programs"    // what Commands can run
	Port     = "/dev/vport0p1"
)

// Disk is a filesystem that init mounts. Its device carries its name as serial number.
type Disk struct {
	Name       string
	Filesystem string // the kernel's name for it
	Options    string // for mounting it
}

// MountPoint is where programs find the disk.
func (d Disk) MountPoint() string { return "/mnt/" + d.Name }

// Variable is the environment variable that has the mount point, for programs.
func (d Disk) Variable() string {
	return "HOSTDIR_VM_" + strings.ToUpper(strings.ReplaceAll(d.Name, "-", "_"))
}

// Command asks init to run a program, one at a time. When nobody holds the other end of the port any more, init
// powers the machine off.
type Command struct {
	Args []string
}

// Report is a part of what init answers to a Command, and says once by itself when the machine has booted: Output
// as it comes, then Done and why it failed, if it did.
type Report struct {
	Output  []byte `json:",omitempty"`
	Done    bool   `json:",omitempty"`
	Failure string `json:",omitempty"`
}
