// Package unsynced finds what a power cut could undo: which changes below a
// directory no fsync has covered yet. It follows a program's system calls, as
// strace(1) shows them.
//
// It takes fsync(2) at its word, and no more. Syncing a file makes its content,
// mode and owner last; syncing a directory makes its entries last, and that
// those that are directories exist; syncfs(2) is that for all. A rename takes a sync of
// both directories.
// Journaling filesystems happen to do more; nobody has promised that they will.
package unsynced
