// Package hang gives tests disks that do not answer. There are two kinds:
//
// A Cover lies over a directory as a FUSE mount that nobody serves. Whoever looks
// a name up below the directory waits; files and mounts that were open before go
// on.
//
// A Disk is a FUSE filesystem that passes every request on to a directory, and
// that can be made to wait before it does: for ever, for a time, or only after
// some more requests. Everything that touches the disk is held up, mounts of its
// volumes included.
//
// A process that is killed while it waits does end: what waits is killable, as it
// is on NFS. The test itself must not touch a disk that hangs. Mounts are held by
// child processes: a process that holds a mount which it also waits for can never
// end, and a child takes its mount away even if the test is killed.
package hang
