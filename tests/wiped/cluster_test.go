//go:build e2e

package wiped

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is where this repository is.
const repository = "../.."

// A cluster is one with three nodes, and a StatefulSet whose two replicas are on two of them.
type cluster struct {
	*testing.T
	tool   string // the program that runs it
	plugin string // the plugin of kubectl
}

// up makes the cluster, for as long as the test lasts.
func up(t *testing.T) *cluster {
	t.Helper()
	t.Setenv("HOSTDIR_CLUSTER", "wiped") // whatever it was: nobody else's is wiped
	bin, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, tool: filepath.Join(bin, "cluster"), plugin: filepath.Join(bin, "kubectl-hostdir")}
	t.Cleanup(func() { c.cluster("down") })
	c.cluster("down") // what a test that was killed has left
	c.cluster("up", "--nodes", "3")
	return c
}

// in is the cluster in a part of the test.
func (c *cluster) in(t *testing.T) *cluster {
	part := *c
	part.T = t
	return &part
}

// cluster runs `cluster` and returns what it prints; the test ends if it fails.
func (c *cluster) cluster(args ...string) string {
	c.Helper()
	var stderr strings.Builder
	cmd := exec.Command(c.tool, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.Fatalf("cluster %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	return c.cluster(append([]string{"kubectl"}, args...)...)
}

// hostdir runs `kubectl hostdir`, which must end with a status, and returns all that it says.
func (c *cluster) hostdir(status int, args ...string) string {
	c.Helper()
	says, ended := c.tryHostdir(args...)
	c.Logf("kubectl hostdir %s\n%s", strings.Join(args, " "), says)
	if ended != status {
		c.Fatalf("kubectl hostdir %s ends with %d, want %d", strings.Join(args, " "), ended, status)
	}
	return says
}

func (c *cluster) tryHostdir(args ...string) (says string, status int) {
	c.Helper()
	cmd := exec.Command(c.tool, append([]string{"run", "--", c.plugin}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// loadImage loads hostdir's image into the nodes that run.
func (c *cluster) loadImage() {
	c.Helper()
	c.cluster("load", filepath.Join(repository, "bin/hostdir.tar"))
}

// install installs the chart. Disks that are moved to a node are below its /mnt.
func (c *cluster) install() {
	c.Helper()
	c.cluster("helm", "upgrade", "--install", "hostdir", filepath.Join(repository, "deploy/helm/hostdir"), "--namespace", home, "--create-namespace",
		"--wait", "--timeout", "3m", "--set", "image.repository=localhost/hostdir/hostdir,image.tag=dev,image.pullPolicy=Never",
		"--set-json", `pools=[{"name":"default","paths":["/var/lib/hostdir","/mnt/*"]}]`)
}

// uninstall ends hostdir, which lets go of its disks: they are moved and copied without it.
func (c *cluster) uninstall() {
	c.Helper()
	c.cluster("helm", "uninstall", "hostdir", "--namespace", home, "--wait", "--timeout", "3m")
	c.kubectl("wait", "--namespace", home, "--for=delete", "pods", "--selector=app.kubernetes.io/name=hostdir", "--timeout=1m")
}

// disk is where a path of a node is on this machine.
func (c *cluster) disk(node, path string) string {
	c.Helper()
	return filepath.Join(c.cluster("node-dir", node), path)
}

// move moves a disk to where none is in use.
func (c *cluster) move(from, to string) {
	c.Helper()
	if err := os.RemoveAll(to); err != nil { // the empty one that is there
		c.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		c.Fatal(err)
	}
}

// A replica is where a pod runs and what its volume holds.
type replica struct{ node, data string }

// home is hostdir's namespace, namespace the StatefulSet's.
const (
	home      = "hostdir-system"
	namespace = "shop"
)

// apply applies the example, and waits for its replicas.
func (c *cluster) apply() {
	c.Helper()
	c.kubectl("apply", "--namespace", namespace, "--filename", filepath.Join(repository, "examples/statefulset.yaml"))
	c.rollout()
}

func (c *cluster) rollout() {
	c.Helper()
	c.kubectl("rollout", "status", "--namespace", namespace, "statefulset/web", "--timeout=3m")
}

func (c *cluster) scale(replicas string) {
	c.Helper()
	c.kubectl("scale", "--namespace", namespace, "statefulset/web", "--replicas="+replicas)
	if replicas == "0" {
		c.kubectl("wait", "--namespace", namespace, "--for=delete", "pods", "--selector=app=web", "--timeout=2m")
	} else {
		c.rollout()
	}
}

func (c *cluster) replica(pod string) replica {
	c.Helper()
	return replica{
		node: c.kubectl("get", "pod", "--namespace", namespace, pod, "--output=jsonpath={.spec.nodeName}"),
		data: c.kubectl("exec", "--namespace", namespace, pod, "--", "sh", "-c", "cat /www/index.html /www/id"),
	}
}

// has holds that a replica runs on a node, with data.
func (c *cluster) has(pod string, want replica) {
	c.Helper()
	if got := c.replica(pod); got != want {
		c.Errorf("%s is %+v, want %+v", pod, got, want)
	}
}

// volumes are the PersistentVolumes, in words that change with them.
func (c *cluster) volumes() string {
	c.Helper()
	return c.kubectl("get", "pv", "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.phase}{\"\\n\"}{end}")
}
