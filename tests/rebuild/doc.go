// Package rebuild runs `kubectl hostdir rebuild` against a real kube-apiserver, with
// Kubernetes' own controllers that bind and protect claims. It is killed at each write.
// Nothing is on any disk: what the nodes have is told.
package rebuild
