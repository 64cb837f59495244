//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// plugin is the plugin's pod on a node.
func (c *cluster) plugin(t testing.TB, node string) *corev1.Pod {
	t.Helper()
	for _, p := range c.plugins(t) {
		if p.Spec.NodeName == node {
			return &p
		}
	}
	t.Fatalf("no pod of the plugin is on %s", node)
	return nil
}

// hostdir runs one of hostdir's commands in the plugin's pod on a node. It
// returns what the command prints, and an error if it fails, with what it
// complains of.
func (c *cluster) hostdir(t testing.TB, node string, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command("kubectl", append([]string{"exec", "--namespace", home, c.plugin(t, node).Name,
		"--container", "hostdir", "--", "/hostdir"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// sameProcess holds that the plugin has not been started again since p was seen.
func (t *test) sameProcess(p *corev1.Pod) {
	t.Helper()
	now := t.plugin(t, p.Spec.NodeName)
	for i, c := range p.Status.ContainerStatuses {
		if now.UID != p.UID || now.Status.ContainerStatuses[i].ContainerID != c.ContainerID {
			t.Errorf("container %s of the plugin on %s was started again", c.Name, p.Spec.NodeName)
		}
	}
}

// metricIs returns an error unless the plugin on a node serves this series with
// this value.
func (t *test) metricIs(node, series, want string) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get("http://" + t.plugin(t, node).Status.PodIP + ":9808/metrics")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	_, rest, found := strings.Cut(string(metrics), "\n"+series+" ")
	if value, _, _ := strings.Cut(rest, "\n"); !found || value != want {
		return fmt.Errorf("the metric %s is %q, want %q", series, value, want)
	}
	return nil
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
			if c.Name != "hostdir" && len(found) == 0 {
				t.Errorf("%s has no token where this test looks for one", c.Name)
			} else if c.Name == "hostdir" && len(found) > 0 {
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
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // has ended since: another test's command in this container
		}
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
