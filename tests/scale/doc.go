// Package scale measures what hostdir costs an API server on many nodes. The programs
// of one node and those of the control plane are real, beside a real kube-apiserver and
// etcd. All further nodes are played: their objects are copies of real ones, written
// into etcd, and their sidecars are the watches that the real sidecars have opened.
//
// Without arguments it holds docs/explanation/scale.md to what it says of one node. With
// -args -nodes 100 it measures a cluster of that size and writes it onto that page.
package scale
