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

// controllers selects the pods of hostdir-controller.
var controllers = query{namespace: home, labels: "app.kubernetes.io/name=hostdir,app.kubernetes.io/component=controller"}

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

// controllers are the pods of hostdir-controller.
func (c *cluster) controllers(t testing.TB) []corev1.Pod {
	t.Helper()
	list, err := c.CoreV1().Pods(home).List(context.Background(), metav1.ListOptions{
		LabelSelector: controllers.labels,
		FieldSelector: "status.phase=Running",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Fatal("there is no pod of hostdir-controller")
	}
	return list.Items
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
	for _, p := range append(t.plugins(t), t.controllers(t)...) {
		for _, c := range p.Spec.Containers {
			found := secrets(t, &p, c.Name)
			if sidecar := strings.HasPrefix(c.Name, "csi-"); sidecar && len(found) == 0 {
				t.Errorf("%s has no token where this test looks for one", c.Name)
			} else if !sidecar && len(found) > 0 {
				t.Errorf("%s on %s has secrets: %q", c.Name, p.Spec.NodeName, found)
			}
		}
	}
}

// secrets are those that a container's processes find in their files and in
// their environment.
func secrets(t *test, p *corev1.Pod, container string) (found []string) {
	for _, process := range processes(t, p, container) {
		tokens, err := filepath.Glob(filepath.Join(process, "root/var/run/secrets/*/*/token"))
		t.check(err)
		found = append(found, tokens...)
		environment, err := os.ReadFile(filepath.Join(process, "environ"))
		t.check(err)
		if strings.Contains(string(environment), "TOKEN") {
			found = append(found, string(environment))
		}
	}
	return found
}

func pluginAnswersHealthChecks(t *test) {
	client := http.Client{Timeout: 10 * time.Second}
	for _, p := range append(t.plugins(t), t.controllers(t)...) {
		for path, want := range map[string]string{"/healthz": "200 ok", "/readyz": "200 ok"} {
			response, err := client.Get("http://" + p.Status.PodIP + ":9808" + path)
			t.check(err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			t.check(err)
			if got := fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body))); got != want {
				t.Errorf("%s of %s answers %q, want %q", path, p.Name, got, want)
			}
		}
	}
}
