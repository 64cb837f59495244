package kube

import (
	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

// planControlPlane is etcd and Kubernetes' own servers, each with a certificate of its own.
func planControlPlane(ca *authority, workers []worker, cache programs.Cache) (Plan, error) {
	const dir = configuration
	files := map[string][]byte{dir + "ca.crt": ca.certificate}
	for _, c := range []struct {
		file string
		who  identity
	}{
		{"apiserver", identity{name: "kube-apiserver", hosts: []string{
			controlPlaneIP, apiServiceIP, "127.0.0.1", "kubernetes.default.svc", "kubernetes.default", "kubernetes"}}},
		{"kubelet-client", identity{name: "kube-apiserver-kubelet-client", group: "system:masters"}},
		{"service-account", identity{name: "service-accounts"}},
	} {
		certificate, key, err := ca.issue(c.who)
		if err != nil {
			return Plan{}, err
		}
		files[dir+c.file+".crt"], files[dir+c.file+".key"] = certificate, key
	}
	for _, component := range []string{"kube-controller-manager", "kube-scheduler"} {
		config, err := ca.kubeconfig("system:"+component, "")
		if err != nil {
			return Plan{}, err
		}
		files[dir+component+".kubeconfig"] = config
	}

	network := append([]string{
		"link set lo up",
		"link add name " + Bridge + " type bridge",
		"addr add " + controlPlaneIP + "/24 dev " + Bridge,
		"link set " + Bridge + " up",
	}, podRoutes(workers, 0)...)
	daemons := []machine.Daemon{
		{Name: "etcd", Args: []string{cache.Path("etcd"),
			"--data-dir=/var/lib/etcd",
			"--unsafe-no-fsync", // the cluster is not meant to outlive a power cut of its host
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
		}},
		{Name: "kube-apiserver", After: "127.0.0.1:2379", Args: []string{cache.Path("kube-apiserver"),
			"--etcd-servers=http://127.0.0.1:2379",
			"--advertise-address=" + controlPlaneIP,
			"--service-cluster-ip-range=" + serviceCIDR,
			"--client-ca-file=" + dir + "ca.crt",
			"--tls-cert-file=" + dir + "apiserver.crt", "--tls-private-key-file=" + dir + "apiserver.key",
			"--kubelet-client-certificate=" + dir + "kubelet-client.crt", "--kubelet-client-key=" + dir + "kubelet-client.key",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + dir + "service-account.crt",
			"--service-account-signing-key-file=" + dir + "service-account.key",
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",                      // a CSI driver's node plugin is
			"--kubelet-preferred-address-types=InternalIP", // there is no DNS for the nodes' names
		}},
		{Name: "kube-controller-manager", After: apiServer, Args: []string{cache.Path("kube-controller-manager"),
			"--kubeconfig=" + dir + "kube-controller-manager.kubeconfig",
			"--use-service-account-credentials", "--leader-elect=false",
			"--root-ca-file=" + dir + "ca.crt",
			"--service-account-private-key-file=" + dir + "service-account.key",
			// A stopped node is called NotReady after 20 s instead of 50: see nodeLeaseDurationSeconds in kubelet.yaml.
			"--node-monitor-grace-period=20s", "--node-monitor-period=2s",
		}},
		{Name: "kube-scheduler", After: apiServer, Args: []string{cache.Path("kube-scheduler"),
			"--kubeconfig=" + dir + "kube-scheduler.kubeconfig", "--leader-elect=false",
		}},
	}
	return Plan{Spec: machine.Spec{Name: ControlPlane, Network: network, Daemons: daemons}, Files: files}, nil
}
