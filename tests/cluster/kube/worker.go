package kube

import (
	"bytes"
	"embed"
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"text/template"

	"github.com/hostdir/hostdir/tests/cluster/machine"
	"github.com/hostdir/hostdir/tests/cluster/programs"
)

//go:embed files
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"base64": base64.StdEncoding.EncodeToString,
}).ParseFS(files, "files/*"))

func fill(name string, values any) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, name, values)
	return out.Bytes(), err
}

// planWorker is a node: containerd, kubelet and kube-proxy.
func planWorker(w worker, ca *authority, all []worker, cache programs.Cache) (Plan, error) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return Plan{}, err
	}
	const (
		containerdConfig = configuration + "containerd.toml"
		kubeletConfig    = configuration + "kubelet.yaml"
		kubeletKube      = configuration + "kubelet.kubeconfig"
		kubeletCA        = configuration + "ca.crt"
		proxyKube        = configuration + "kube-proxy.kubeconfig"
		cniFolder        = configuration + "net.d"
	)
	values := map[string]string{
		"PauseImage": PauseImage, "Runc": runc, "CNIPrograms": filepath.Dir(cache.Path("ptp")), "CNIConfig": cniFolder,
		"CAFile": kubeletCA, "DNS": dnsServiceIP, "PodCIDR": w.podCIDR(),
	}
	files := map[string][]byte{kubeletCA: ca.certificate}
	for path, name := range map[string]string{
		containerdConfig:                "containerd.toml",
		kubeletConfig:                   "kubelet.yaml",
		cniFolder + "/10-pods.conflist": "pods.conflist",
	} {
		if files[path], err = fill(name, values); err != nil {
			return Plan{}, err
		}
	}
	if files[kubeletKube], err = ca.kubeconfig("system:node:"+w.name(), "system:nodes"); err != nil {
		return Plan{}, err
	}
	if files[proxyKube], err = ca.kubeconfig("system:kube-proxy", ""); err != nil {
		return Plan{}, err
	}

	network := append([]string{
		"link set lo up",
		"addr add " + w.ip() + "/24 dev eth0",
		"link set eth0 up",
		"route add default via " + controlPlaneIP,
	}, podRoutes(all, w.number)...)
	daemons := []machine.Daemon{
		{Name: "containerd", Args: []string{cache.Path("containerd"), "--config=" + containerdConfig}},
		{Name: "kubelet", After: apiServer, Args: []string{cache.Path("kubelet"),
			"--config=" + kubeletConfig, "--kubeconfig=" + kubeletKube,
			"--hostname-override=" + w.name(), "--node-ip=" + w.ip(), "--v=2",
		}},
		{Name: "kube-proxy", After: apiServer, Args: []string{cache.Path("kube-proxy"),
			"--kubeconfig=" + proxyKube, "--hostname-override=" + w.name(), "--cluster-cidr=" + podCIDR,
			"--proxy-mode=nftables",
			"--conntrack-max-per-core=0", // the limit is the host's, and not ours to change
		}},
	}
	return Plan{Spec: machine.Spec{Name: w.name(), Network: network, Daemons: daemons}, Files: files}, nil
}
