// Package kernel tests the kernel of the virtual machine, in the machine: that it limits directories on XFS, ext4 and
// btrfs. It asks with bare system calls, so that when hostdir's own tests fail there, the machine can be trusted.
package kernel
