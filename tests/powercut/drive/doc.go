// Package drive is a disk that loses power: a file that loop devices take for a
// drive with a volatile cache. It keeps every write and every flush, in order,
// and shows what any moment's power cut would have left.
//
// What a flush has covered survives. Of the writes after the last flush each may
// be there, be missing, or be there in some of its sectors: a real drive gives
// no other promise.
//
// The file is served over FUSE, so that the kernel's own block layer and
// filesystems are what is tested.
package drive
