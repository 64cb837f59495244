//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A test is a testing.T with a namespace of its own on the cluster.
type test struct {
	*testing.T
	*cluster
	namespace string
	began     time.Time
	outside   []func() // undo what the test did outside its namespace
	explained bool
}

// begin makes the test's namespace. When the test ends the namespace goes, and
// all that its claims had must go with it.
func begin(t *testing.T, c *cluster) *test {
	t.Helper()
	return beginIn(t, c, metav1.ObjectMeta{GenerateName: "e2e-"})
}

// beginIn begins a test in a namespace of this name.
func beginIn(t *testing.T, c *cluster, name metav1.ObjectMeta) *test {
	t.Helper()
	ns, err := c.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{ObjectMeta: name}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	self := &test{T: t, cluster: c, namespace: ns.Name, began: time.Now()}
	t.Cleanup(self.end)
	return self
}

// end deletes the namespace, waits until its volumes are gone as well, and then
// undoes what the test did outside it.
func (t *test) end() {
	t.explain()
	defer t.explain() // volumes that do not go
	defer func() {
		for _, undo := range slices.Backward(t.outside) {
			undo()
		}
	}()
	t.check(t.CoreV1().Namespaces().Delete(context.Background(), t.namespace, metav1.DeleteOptions{}))
	await(t, "the namespace and all in it goes", namespaces, named(t.namespace), none)
	t.volumesGo()
	for _, node := range t.nodes {
		links := filepath.Join(t.files[node], pool, "claims", t.namespace)
		if _, err := os.Lstat(links); err == nil {
			t.Errorf("all volumes are gone, yet on %s there is still %s", node, links)
		}
	}
}

// explain prints, once and if the test has failed, what a person would look at.
func (t *test) explain() {
	if !t.Failed() || t.explained {
		return
	}
	t.explained = true
	since := "--since-time=" + t.began.UTC().Format(time.RFC3339)
	for _, command := range []string{
		"get events -n " + t.namespace + " --sort-by=.lastTimestamp",
		"get pods,persistentvolumeclaims -o wide -n " + t.namespace,
		"get events -n default --field-selector=type=Warning --sort-by=.lastTimestamp", // those of volumes and nodes
		"get volumesnapshots,volumesnapshotcontents -A",
		"get persistentvolumes,nodes,csistoragecapacities -o wide -n " + home,
		"get pods -o wide -n " + home,
		"logs --prefix --tail=80 -l " + plugins.labels + " -c hostdir -n " + home + " " + since,
		"logs --prefix --tail=40 -l " + plugins.labels + " -c csi-provisioner -n " + home + " " + since,
		"logs --prefix --tail=40 -l " + plugins.labels + " -c csi-snapshotter -n " + home + " " + since,
		"logs --prefix --tail=40 -l app.kubernetes.io/component=snapshot-controller -n " + home + " " + since,
		"logs --prefix --tail=40 -l " + controllers.labels + " --all-containers -n " + home + " " + since,
	} {
		out, err := exec.Command("kubectl", strings.Fields(command)...).CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		t.Logf("kubectl %s\n%s", command, out)
	}
}

// kubectl runs kubectl in the test's namespace.
func (t *test) kubectl(args ...string) string {
	t.Helper()
	return run(t, "kubectl", append([]string{"--namespace", t.namespace}, args...)...)
}

// exec runs a command in a pod and returns what it prints.
func (t *test) exec(pod string, command ...string) string {
	t.Helper()
	return t.kubectl(append([]string{"exec", pod, "--"}, command...)...)
}

// apply applies an example.
func (t *test) apply(example string) {
	t.Helper()
	t.kubectl("apply", "-f", t.example(example))
	t.outside = append(t.outside, func() { t.kubectl("delete", "--ignore-not-found", "-f", t.example(example)) })
}

// eventually waits for what Kubernetes has no watch for, such as a file.
func (t *test) eventually(what string, met func() error) {
	t.Helper()
	err := met()
	for deadline := time.Now().Add(patience); err != nil; err = met() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s: %v", patience, what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
