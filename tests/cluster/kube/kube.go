// Package kube says what the machines of a Kubernetes cluster run: their daemons, files, certificates and
// addresses. It starts nothing.
//
// There is one machine for the control plane, whose bridge is the cluster's network, and one for each worker.
package kube

import (
	"fmt"

	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// Images that a cluster must have before anything else runs on it, by the names that manifests know.
const (
	PauseImage              = "registry.k8s.io/pause:3.10"
	BusyboxImage            = "docker.io/library/busybox:1.35"
	ProvisionerImage        = "registry.k8s.io/sig-storage/csi-provisioner:v6.4.0"
	ResizerImage            = "registry.k8s.io/sig-storage/csi-resizer:v2.3.0"
	SnapshotterImage        = "registry.k8s.io/sig-storage/csi-snapshotter:v8.7.0"
	SnapshotControllerImage = "registry.k8s.io/sig-storage/snapshot-controller:v8.7.0"
	KubectlImage            = "registry.k8s.io/kubectl:v1.37.2"
)

// ControlPlane is the name of the control plane's machine; the workers are worker-1, worker-2, ...
const ControlPlane = "control-plane"

// Bridge is the cluster's network, in the control plane's network namespace.
const Bridge = "br0"

const (
	controlPlaneIP = "172.30.0.1"
	apiServer      = controlPlaneIP + ":6443"
	serviceCIDR    = "10.96.0.0/16"
	apiServiceIP   = "10.96.0.1"
	dnsServiceIP   = "10.96.0.10"
	podCIDR        = "10.85.0.0/16"
)

// configuration is the folder on each machine of the files that it is made with.
const configuration = "/var/lib/kubernetes/"

// State are the folders in which Kubernetes keeps what it knows. A machine without them starts as on its first day.
var State = []string{"/var/lib/etcd", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni"}

// A Plan is a machine and the files that it must have, by their paths on it.
type Plan struct {
	Spec  machine.Spec
	Files map[string][]byte
}

// A worker is one node; number counts from 1.
type worker struct{ number int }

func (w worker) name() string    { return fmt.Sprintf("worker-%d", w.number) }
func (w worker) ip() string      { return fmt.Sprintf("172.30.0.%d", 10+w.number) }
func (w worker) podCIDR() string { return fmt.Sprintf("10.85.%d.0/24", w.number) }

// MaxWorkers is what the addresses have room for.
const MaxWorkers = 9

// NewCluster plans the machines of a cluster, the control plane first, and makes the kubeconfig of its administrator.
func NewCluster(name string, workers int, cache programs.Cache) (plans []Plan, kubeconfig []byte, err error) {
	ca, err := newAuthority(name)
	if err != nil {
		return nil, nil, err
	}
	var all []worker
	for i := range workers {
		all = append(all, worker{i + 1})
	}
	control, err := planControlPlane(ca, all, cache)
	if err != nil {
		return nil, nil, err
	}
	plans = append(plans, control)
	for _, w := range all {
		plan, err := planWorker(w, ca, all, cache)
		if err != nil {
			return nil, nil, err
		}
		plans = append(plans, plan)
	}
	for i := range plans {
		plans[i].Spec.Cgroup = "hostdir-cluster/" + name + "/" + plans[i].Spec.Name
	}
	kubeconfig, err = ca.kubeconfig("admin", "system:masters")
	return plans, kubeconfig, err
}

// podRoutes lead to the pods of the workers, of all but the one that asks.
func podRoutes(workers []worker, except int) []string {
	var routes []string
	for _, w := range workers {
		if w.number != except {
			routes = append(routes, fmt.Sprintf("route add %s via %s", w.podCIDR(), w.ip()))
		}
	}
	return routes
}
