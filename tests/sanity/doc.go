// Package sanity runs csi-sanity, the CSI project's own test suite, against
// hostdir on real filesystems with real mounts: inside the test's process, and
// through the built program and its socket.
package sanity
