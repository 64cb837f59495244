// Package faults kills the node plugin at each of its system calls, and lets each
// fail in each way that disks and kernels know, and looks at what is left. After
// a crash, a start and a retry the disk must be as if nothing had happened; after
// a failed call the answer must say so, and a retry succeed.
package faults
