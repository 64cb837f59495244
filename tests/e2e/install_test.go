//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostdir/hostdir/pkg/cli/why"
)

// home is the namespace of the plugin.
const home = "hostdir-system"

// install installs the chart as the installation guide says, with the image that
// was built from this repository, on a cluster that knows snapshots. Helm returns once a
// ready plugin runs on each node, and the controllers. More arguments are Helm's.
func (c *cluster) install(t testing.TB, args ...string) {
	t.Helper()
	c.knowSnapshots(t)
	now := time.Now().Format(time.RFC3339Nano)
	c.installFrom(t, c.chart(), "dev", append([]string{
		"--set", "snapshots.controller.enabled=true", "--set-string", "test.image.tag=1.35",
		"--set", "import[0]=" + oldDirs, "--set", "import[1]=" + localPathDirs,
		// New pods each time: the tag stays the same when a new image is loaded.
		"--set-string", "podAnnotations.installed=" + now, "--set-string", "controller.podAnnotations.installed=" + now,
	}, args...)...)
}

// installFrom installs any version's chart, with the image that the nodes have under a tag.
func (c *cluster) installFrom(t testing.TB, chart, tag string, args ...string) {
	t.Helper()
	run(t, "helm", append([]string{"upgrade", "--install", "hostdir", chart, "--namespace", home, "--create-namespace",
		"--reset-values", "--wait", "--timeout", "3m",
		"--set", "image.repository=localhost/hostdir/hostdir", "--set", "image.tag=" + tag, "--set", "image.pullPolicy=Never",
		// Both nodes are on this machine's disk, which may be large and nearly full: a share
		// of it, reserved on each, would leave the tests no room.
		"--set", "pools[0].name=default,pools[0].paths[0]=" + pool + ",pools[0].reserve=1Gi",
	}, args...)...)
}

func (c *cluster) chart() string {
	return filepath.Join(c.repository, "deploy/helm/hostdir")
}

// manifestsAreTaken asks the API server, which validates strictly, without
// letting it store anything.
func manifestsAreTaken(t *test) {
	dir := t.TempDir()
	manifests, err := filepath.Rel(dir, filepath.Join(t.repository, "deploy/kubernetes"))
	t.check(err)
	t.check(os.WriteFile(filepath.Join(dir, "kustomization.yaml"), fmt.Appendf(nil, "resources: [%s]\ncomponents: [%[1]s/snapshots]\n", manifests), 0o600))
	out := run(t, "kubectl", "apply", "--dry-run=server", "-k", dir)
	for _, want := range []string{"daemonset.apps/hostdir-node", "volumesnapshotclass.snapshot.storage.k8s.io/hostdir", "deployment.apps/hostdir-controller", "csidriver.storage.k8s.io/csi.hostdir.io", "storageclass.storage.k8s.io/hostdir-retain"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not among what was applied:\n%s", want, out)
		}
	}
}

// helmTestPasses runs what the chart brings for that, and finds nothing of it afterwards.
func helmTestPasses(t *test) {
	out := run(t, "helm", "test", "hostdir", "--namespace", home, "--timeout", "3m")
	if !strings.Contains(out, "Succeeded") {
		t.Errorf("helm test says:\n%s", out)
	}
	await(t, "the claim of the test is gone", claims, query{namespace: home, labels: "app.kubernetes.io/component=test"}, none)
}

// nothingIsLeft holds for all tests before it: each has deleted its claims.
func nothingIsLeft(t *test) {
	for _, node := range t.nodes {
		for _, folder := range []string{"volumes", "trash", "claims", "snapshots"} {
			left, err := os.ReadDir(filepath.Join(t.files[node], pool, folder))
			if !errors.Is(err, fs.ErrNotExist) || folder != "snapshots" { // which the first of them makes
				t.check(err)
			}
			if len(left) > 0 {
				t.Errorf("%s of the pool on %s still holds %v", folder, node, left)
			}
		}
	}
}

func uninstallLeavesData(t *test) {
	t.createStatefulSet(newStatefulSet("db", 2, signed))
	data := map[string]string{} // what each replica has, by its directory
	for _, p := range t.setRuns("set=db", 2) {
		dir := t.directory("data-" + p.Name)
		data[dir] = t.content(dir, "id")
	}
	run(t, "helm", "uninstall", "hostdir", "--namespace", home, "--wait", "--timeout", "3m")
	t.Cleanup(func() { // the volumes go only with a plugin
		t.explain()
		t.install(t)
	})
	await(t, "the plugin's pods are gone", pods, plugins, none)
	t.why("data-db-0", why.NotInstalled)
	if _, err := t.StorageV1().CSIDrivers().Get(context.Background(), driver, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after uninstalling there still is a CSIDriver (%v)", err)
	}
	t.setRuns("set=db", 2) // without a plugin they run on
	for dir, id := range data {
		if now := t.content(dir, "id"); now != id {
			t.Errorf("after uninstalling %s holds %q, it held %q", dir, now, id)
		}
	}

	t.install(t)
	for _, pod := range []string{"db-0", "db-1"} {
		t.podComesBack(pod)
		if id := t.exec(pod, "cat", "/data/id"); id != data[t.directory("data-"+pod)] {
			t.Errorf("after installing again %s has %q", pod, id)
		}
	}
}
