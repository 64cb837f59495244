// Package powercut cuts the power of a disk under a working node plugin.
//
// The real program works on a real filesystem on a drive of package drive, is
// killed and started again, and what it has answered is kept with the drive's
// position at that moment. Then, for many moments, the drive is made as a power
// cut at that moment would have left it, mounted, and the program is started on
// it: whatever it had acknowledged must be there, and nothing half-made.
//
// Filesystems write down more than they are asked to, and so forgive a missing
// fsync. A second test therefore traces the program's system calls (package
// unsynced) and wants everything that an answer relies on to have been synced
// before it.
package powercut
