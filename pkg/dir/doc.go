// Package dir works with open directories: what lies beneath one is reached by
// name through its descriptor, never by following a symbolic link and, unless
// that is asked for, never across a mount.
//
// os.Root and filepath-securejoin would not do: they cross mounts.
//
// openat2(2) looks a name up in one system call. A kernel before Linux 5.6, or a
// container runtime whose seccomp profile does not know that call, gets a walk,
// one component of the name after the other, that refuses the same things with
// the same errors. Which of the two it is shows once, when the first file is
// opened.
package dir
