// Package nodeloss tests hostdir-controller's loop about lost nodes against a real API
// server, with the controllers of Kubernetes that follow a deletion. Nodes are Node
// objects, and nothing runs on them.
package nodeloss
