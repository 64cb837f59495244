// Package ownnode asks a real kube-apiserver what the chart's policy hostdir-own-node lets
// the plugin of a node do to PersistentVolumes, with tokens as kubelet gets them.
package ownnode
