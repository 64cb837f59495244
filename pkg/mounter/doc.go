// Package mounter publishes directories: it bind-mounts a volume's data at the
// target path that kubelet chose for a pod, and takes the mount away again.
//
// The source is always an open descriptor and the target is reached from
// kubelet's directory without following a symbolic link, so that no path is
// looked up twice. The kernel is asked what is mounted, never a list of our
// own: a restart loses nothing and a retry finds what is there.
package mounter
