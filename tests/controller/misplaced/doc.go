// Package misplaced runs the loop of pkg/controller/misplaced against a real API server,
// beside a real scheduler and kube-controller-manager. No kubelet runs: pods never start.
package misplaced
