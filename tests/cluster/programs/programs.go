// Package programs builds the programs of a Kubernetes cluster from their Go modules, once, and keeps them in
// the user's cache folder.
//
// A program is built inside its own module as the module cache holds it, with the dependencies that its
// authors pinned: a copy of its go.mod and go.sum is all that changes. Nothing of it is kept in this repository.
package programs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// kubernetesVersion names the release; its libraries are published as v0.37.2.
const (
	kubernetesVersion = "v1.37.2"
	librariesVersion  = "v0.37.2"
	helmVersion       = "v4.3.1"
)

// The API of snapshots is a module of its own, in whose folder the CustomResourceDefinitions are.
const (
	snapshotClient        = "github.com/kubernetes-csi/external-snapshotter/client/v8"
	snapshotClientVersion = "v8.6.0"
)

// A program is one or more commands of one Go module that are built together.
type program struct {
	name    string
	module  string
	version string

	// commands are the packages to build, relative to the module. "." makes a command called name.
	commands []string

	// source, in place of commands, is a command of one file, which is built as if the module had it. It is called name.
	source []byte

	// siblings is the published version of the modules that the module's go.mod takes from folders beside it.
	siblings string

	// ldflags are given to the linker on top of "-s -w".
	ldflags string

	// takes says how long a first build takes, where that is long enough to wonder.
	takes string
}

// all programs, the ones that take longest first. A further CSI sidecar is one more entry.
var all = []program{
	kubernetes("kube-apiserver", "some 5 minutes the first time"),
	kubernetes("kube-controller-manager", "some 2 minutes the first time"),
	kubernetes("kube-scheduler", ""),
	kubernetes("kubelet", "about a minute the first time"),
	kubernetes("kube-proxy", ""),
	kubernetes("kubectl", ""),
	{
		name: "containerd", module: "github.com/containerd/containerd/v2", version: "v2.4.2",
		commands: []string{"./cmd/containerd", "./cmd/ctr", "./cmd/containerd-shim-runc-v2"},
		ldflags:  "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
		takes:    "about a minute the first time",
	},
	{
		name: "etcd", module: "go.etcd.io/etcd/server/v3", version: "v3.7.3", siblings: "v3.7.3",
		commands: []string{"."},
	},
	{
		name: "cni-plugins", module: "github.com/containernetworking/plugins", version: "v1.9.1",
		commands: []string{"./plugins/main/ptp", "./plugins/main/loopback", "./plugins/ipam/host-local", "./plugins/meta/portmap"},
	},
	{
		name: "csi-provisioner", module: "github.com/kubernetes-csi/external-provisioner/v6", version: "v6.4.0",
		commands: []string{"./cmd/csi-provisioner"},
		ldflags:  "-X main.version=v6.4.0",
		takes:    "about a minute the first time",
	},
	{
		name: "csi-resizer", module: "github.com/kubernetes-csi/external-resizer/v2", version: "v2.3.0",
		commands: []string{"./cmd/csi-resizer"},
		ldflags:  "-X main.version=v2.3.0",
		takes:    "about a minute the first time",
	},
	{
		name: "external-snapshotter", module: "github.com/kubernetes-csi/external-snapshotter/v8", version: "v8.7.0", siblings: snapshotClientVersion,
		commands: []string{"./cmd/csi-snapshotter", "./cmd/snapshot-controller"},
		ldflags:  "-X main.version=v8.7.0",
		takes:    "about two minutes the first time",
	},
	{
		name: "helm", module: "helm.sh/helm/v4", version: helmVersion,
		commands: []string{"./cmd/helm"},
		ldflags:  "-X helm.sh/helm/v4/internal/version.version=" + helmVersion,
		takes:    "about a minute the first time",
	},
	{ // whose volumes people bring along
		name: "local-path-provisioner", module: "github.com/rancher/local-path-provisioner", version: "v0.0.30",
		commands: []string{"."},
		takes:    "about a minute the first time",
	},
}

// kubernetes is a command of the Kubernetes repository. Each is a program of its own, so that an interrupted
// build goes on where it stopped.
func kubernetes(command, takes string) program {
	return program{
		name: command, module: "k8s.io/kubernetes", version: kubernetesVersion, siblings: librariesVersion,
		commands: []string{"./cmd/" + command},
		ldflags:  "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion,
		takes:    takes,
	}
}

// A Command is a program that tests need and no cluster does. It is built inside Kubernetes' module, with the
// dependencies that Kubernetes pins.
type Command struct {
	// Name is that of the binary. With a Package it is the last part of its import path.
	Name string

	// Package is the import path, in Kubernetes' module or in one that it depends on.
	Package string

	// Source, in place of Package, is the file that the command consists of.
	Source []byte

	// Takes says how long a first build takes, where that is long enough to wonder.
	Takes string
}

func (c Command) program() program {
	p := kubernetes(c.Name, c.Takes)
	p.commands, p.source = []string{c.Package}, c.Source
	return p
}

// binaries are the file names that the program's commands are built to.
func (p program) binaries() []string {
	if p.source != nil {
		return []string{p.name}
	}
	var names []string
	for _, command := range p.commands {
		if command == "." {
			command = p.name
		}
		names = append(names, path.Base(command))
	}
	return names
}

// A Cache is the folder that holds the built programs, and tars of images beside them.
type Cache struct {
	dir       string
	goVersion string
}

// OpenCache finds the cache folder of the user. Programs are kept by version and by the Go that built them.
func OpenCache() (Cache, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, fmt.Errorf("find the cache folder: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	goVersion, err := goCommand("", "", "env", "GOVERSION")
	if err != nil {
		return Cache{}, err
	}
	return Cache{dir: filepath.Join(base, "hostdir"), goVersion: strings.TrimSpace(goVersion)}, nil
}

// Folder is a folder of the cache for things that are made from the programs.
func (c Cache) Folder(name string) string { return filepath.Join(c.dir, name) }

// folder is where a program's binaries are, once they are built. A source of our own changes while the version stays.
func (c Cache) folder(p program) string {
	version := p.version
	if p.source != nil {
		version += fmt.Sprintf("-%.6x", sha256.Sum256(p.source))
	}
	return filepath.Join(c.dir, "programs", fmt.Sprintf("%s-%s-%s-%s", p.name, version, c.goVersion, runtime.GOARCH))
}

// Path is the path of a binary by its name. An unknown name is a mistake in this program.
func (c Cache) Path(binary string) string {
	for _, p := range all {
		for _, name := range p.binaries() {
			if name == binary {
				return filepath.Join(c.folder(p), name)
			}
		}
	}
	panic("programs: nothing builds " + binary)
}
