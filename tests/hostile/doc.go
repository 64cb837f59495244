// Package hostile lets tenants race with hostdir: while the real program
// publishes, counts, expands, checks, deletes and purges a volume, they exchange its
// directories for links, move trees about, link files, mount things inside and
// make whatever a filesystem can hold. Some of it no pod could do; hostdir is not
// to rely on that.
//
// Whatever they do, nothing outside the volume may be read, changed or removed.
// All around are canaries: beside the disk's directory on the same filesystem, in other
// volumes, in kubelet's directory, behind the links. They are compared after each
// round, and the kernel (fanotify(7)) reports if hostdir so much as opens one.
//
// A race lasts a second, with -long a minute.
package hostile
