//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// pool is the path of the default pool's disk on each node.
const pool = "/var/lib/hostdir"

// A cluster is the Kubernetes that tests/cluster has brought up.
type cluster struct {
	kubernetes.Interface
	tool       string            // the program that runs the cluster
	repository string            // this repository
	nodes      []string          // the names of the nodes
	files      map[string]string // the folder of each node's files on this machine
}

// connect finds the cluster that `cluster run` names in the environment.
func connect(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{tool: os.Getenv("HOSTDIR_CLUSTER_BIN"), repository: repository(t), files: map[string]string{}}
	if c.tool == "" {
		t.Fatal("no cluster: run this as `bin/cluster run -- bin/e2e.test` (`make e2e` does it all)")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // the server's own fairness is enough
	if c.Interface, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	nodes, err := c.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("the cluster does not answer (`%s status` tells more): %v", c.tool, err)
	}
	for _, node := range nodes.Items {
		c.nodes = append(c.nodes, node.Name)
		c.files[node.Name] = run(t, c.tool, "node-dir", node.Name)
	}
	if len(c.nodes) < 2 {
		t.Fatalf("the cluster has the nodes %q: the tests need two", c.nodes)
	}
	return c
}

// repository is the folder of go.mod, at or above the current one.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == "/" {
			t.Fatal("no go.mod here or above: run the tests inside hostdir's repository")
		}
	}
}

// example is the path of an example.
func (c *cluster) example(name string) string {
	return filepath.Join(c.repository, "examples", name)
}

// onNode runs a command in a node, and returns what it prints.
func (c *cluster) onNode(t testing.TB, node string, command ...string) string {
	t.Helper()
	return run(t, c.tool, append([]string{"exec", node, "--"}, command...)...)
}

// run runs a program and returns what it prints; the test ends if it fails.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}
