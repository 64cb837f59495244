// Package restore runs the loop of pkg/controller/restore against a real API server,
// beside a real scheduler, kube-controller-manager, and csi-provisioner on each of two
// nodes. The drivers beside those answer as hostdir does, and make nothing.
package restore
