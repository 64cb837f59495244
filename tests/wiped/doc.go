// Package wiped loses etcd, renames a node, moves a disk and copies one, on a real
// Kubernetes of its own, and gets everything back with `kubectl hostdir rebuild`, as
// docs/how-to/rebuild.md says. It takes the cluster away that others need, so it has one:
//
//	make build && bin/cluster build-image .
//	go test -tags e2e -v ./tests/wiped
package wiped
