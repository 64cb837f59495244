// Package reuse runs the loop that keeps volumes for deleted claims against a real
// kube-apiserver, with Kubernetes' own controllers and scheduler. The tests play
// csi-provisioner and kubelet. Nothing is on any disk: a volume's handle stands for its
// data.
package reuse
