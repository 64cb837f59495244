//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// plugins selects the plugin's pods.
var plugins = query{namespace: home, labels: "app.kubernetes.io/name=hostdir,app.kubernetes.io/component=node"}

// plugins are the plugin's pods, one on each node.
func (c *cluster) plugins(t testing.TB) []corev1.Pod {
	t.Helper()
	list, err := c.CoreV1().Pods(home).List(context.Background(), metav1.ListOptions{LabelSelector: plugins.labels})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != len(c.nodes) {
		t.Fatalf("there are %d pods of the plugin on %d nodes", len(list.Items), len(c.nodes))
	}
	return list.Items
}

// pluginLog is what hostdir has logged since it started.
func (t *test) pluginLog(p *corev1.Pod) string {
	t.Helper()
	return run(t, "kubectl", "logs", "--namespace", home, p.Name, "--container", "hostdir")
}

// processes are the /proc folders of a container's processes: nodes are
// namespaces of this machine, which sees them all.
func processes(t testing.TB, p *corev1.Pod, container string) []string {
	t.Helper()
	for _, s := range p.Status.ContainerStatuses {
		if s.Name != container {
			continue
		}
		_, id, _ := strings.Cut(s.ContainerID, "://")
		groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, group := range groups {
			if data, err := os.ReadFile(group); err == nil && strings.Contains(string(data), id) {
				found = append(found, filepath.Dir(group))
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	t.Fatalf("pod %s has no process of container %s", p.Name, container)
	return nil
}

func pluginHoldsNoCredentials(t *test) {
	const secrets = "root/var/run/secrets"
	for _, p := range t.plugins(t) {
		for _, process := range processes(t, &p, "csi-provisioner") {
			if _, err := os.Stat(filepath.Join(process, secrets, "kubernetes.io/serviceaccount/token")); err != nil {
				t.Errorf("csi-provisioner has no token where this test looks for one: %v", err)
			}
		}
		for _, process := range processes(t, &p, "hostdir") {
			if found, err := os.ReadDir(filepath.Join(process, secrets)); err == nil {
				t.Errorf("hostdir on %s has secrets: %v", p.Spec.NodeName, found)
			}
			environment, err := os.ReadFile(filepath.Join(process, "environ"))
			t.check(err)
			if strings.Contains(string(environment), "TOKEN") {
				t.Errorf("hostdir on %s has a token in its environment: %q", p.Spec.NodeName, environment)
			}
		}
	}
}

func pluginAnswersHealthChecks(t *test) {
	client := http.Client{Timeout: 10 * time.Second}
	for _, p := range t.plugins(t) {
		for path, want := range map[string]string{"/healthz": "200 ok", "/readyz": "200 ok"} {
			response, err := client.Get("http://" + p.Status.PodIP + ":9808" + path)
			t.check(err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			t.check(err)
			if got := fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body))); got != want {
				t.Errorf("on %s %s answers %q, want %q", p.Spec.NodeName, path, got, want)
			}
		}
	}
}

// kubelet asks the plugin how full each volume is, and tells monitoring.
func kubeletReportsSizes(t *test) {
	t.createClaim(newClaim("data"))
	t.createPod(newPod("data", "data", signed))
	node := t.podRuns("data").Spec.NodeName
	series := fmt.Sprintf(`kubelet_volume_stats_capacity_bytes{namespace=%q,persistentvolumeclaim="data"} `, t.namespace)
	t.eventually("kubelet of "+node+" knows the volume's size", func() error {
		metrics, err := t.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", node, "proxy/metrics").DoRaw(context.Background())
		if err != nil {
			return err
		}
		_, rest, found := strings.Cut(string(metrics), series)
		var size float64
		if _, err := fmt.Sscan(rest, &size); !found || err != nil || size <= 0 {
			return fmt.Errorf("its metrics have no %s with a size (%v, %v)", series, size, err)
		}
		return nil
	})
}
