//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostdir/hostdir/tests/monitoring"
)

// boards are the dashboards' names.
var boards = []string{"disks", "claims"}

func (c *cluster) board(t testing.TB, name string) monitoring.Board {
	t.Helper()
	b, err := monitoring.Load(filepath.Join(c.chart(), "monitoring/dashboards", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// prometheus runs, until the test ends, a Prometheus that scrapes what the chart's PodMonitor
// selects, and kubelets, and evaluates the chart's rules. It returns once all targets are up.
func (t *test) prometheus(interval time.Duration) *monitoring.Server {
	t.Helper()
	monitor := run(t, "helm", "template", "hostdir", t.chart(), "--namespace", home, "--show-only", "templates/monitoring.yaml", "--set", "monitoring.podMonitor.enabled=true")
	hostdir, err := monitoring.FromPodMonitor([]byte(monitor))
	t.check(err)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	t.check(err)
	kubelets, err := monitoring.Kubelets(t.TempDir(), config)
	t.check(err)
	scrapes := monitoring.Config{
		Global:  map[string]string{"scrape_interval": interval.String(), "scrape_timeout": interval.String(), "evaluation_interval": interval.String()},
		Rules:   []string{filepath.Join(t.chart(), "monitoring/alerts.yaml")},
		Scrapes: []map[string]any{hostdir, kubelets},
	}
	t.check(scrapes.Discover(context.Background(), t))
	s, err := monitoring.Start(t.TempDir(), scrapes)
	t.check(err)
	t.Cleanup(s.Stop)
	t.scrapes(s, 2*len(t.nodes)+len(t.controllers(t)))
	return s
}

// scrapes waits until so many targets are up, and no other ones are known.
func (t *test) scrapes(s *monitoring.Server, want int) {
	t.Helper()
	t.eventually(fmt.Sprint(want, " targets are up"), func() error {
		targets, err := s.Targets()
		if err == nil && len(targets) != want {
			err = fmt.Errorf("there are %d", len(targets))
		}
		for _, target := range targets {
			if target.Health != "up" {
				err = fmt.Errorf("%v is %s: %s", target.Labels, target.Health, target.LastError)
			}
		}
		return err
	})
}

// quietPanels are those that show nothing on a cluster that has been well for a minute.
var quietPanels = map[string]string{
	"Calls that fail":                              "no call has failed",
	"Why disks cannot be used":                     "all can be used",
	"How long claims wait to be bound (99 of 100)": "kube-controller-manager was quicker with these few",
	"Files and directories":                        "btrfs does not count them, and elsewhere they are counted every five minutes",
}

// machineAlerts are of the disk of the machine under the nodes, which may really be full.
var machineAlerts = []string{"HostdirDiskFull", "HostdirDiskFillingUp", "HostdirDiskNearlyAllocated"}

func prometheusSeesAll(t *test) {
	const interval = time.Second
	s := t.prometheus(interval)
	t.documentedScrapes(s)
	began := time.Now()

	t.createStatefulSet(replicasOf("db", 4, t.limitedClass(), 32*mebibyte, "dd if=/dev/zero of=/data/file bs=1M count=8; sync"))
	t.setRuns("set=db", 4)

	for _, name := range boards {
		b := t.board(t, name)
		t.eventually("the dashboard "+name+" has data", func() error {
			r, err := b.Read(s, began, time.Now(), interval)
			t.check(err) // Prometheus has understood each query
			for i, p := range b.Panels {
				if len(r.Panels[i]) == 0 && quietPanels[p.Title] == "" {
					err = cmp.Or(err, fmt.Errorf("panel %q is empty", p.Title))
				}
			}
			return err
		})
		for _, p := range b.Panels {
			for _, target := range p.Targets {
				if strings.Contains(b.Query(target.Expr, interval), "$") && !strings.Contains(target.Expr, `"$1"`) {
					t.Errorf("a variable of panel %q is not known: %s", p.Title, target.Expr)
				}
			}
		}
	}
	t.eventually("what the pods have written is counted", func() error {
		used, err := s.Query(fmt.Sprintf("sum(hostdir_volume_used_bytes{namespace=%q})", t.namespace), time.Now())
		t.check(err)
		if len(used) != 1 || used[0].Points[0].Value < 4*8*mebibyte || used[0].Points[0].Value > 4*9*mebibyte {
			return fmt.Errorf("four claims with 8 MiB each hold together %v", used)
		}
		return nil
	})

	rules, err := s.Rules()
	t.check(err)
	if len(rules) < 20 {
		t.Errorf("Prometheus has %d rules", len(rules))
	}
	for _, r := range rules {
		if r.Health != "ok" || r.LastEvaluation.Before(began) {
			t.Errorf("rule %s is %s, evaluated last at %s: %s", r.Name, r.Health, r.LastEvaluation, r.LastError)
		}
		for _, a := range r.Alerts {
			if a.Labels["path"] != pool || !slices.Contains(machineAlerts, r.Name) {
				t.Errorf("alert %s is %s: %v", r.Name, a.State, a.Labels)
			}
		}
	}
}

// documentedScrapes holds that what docs say to those without the operator finds the same
// targets, with the labels that rules and dashboards ask for.
func (t *test) documentedScrapes(s *monitoring.Server) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(t.repository, "docs/reference/monitoring.md"))
	t.check(err)
	config, err := monitoring.Documented(page)
	t.check(err)
	if want := []string{"alerts.yaml"}; !slices.Equal(config.Rules, want) {
		t.Errorf("the rule files in docs are %q", config.Rules)
	}
	config.Rules = []string{filepath.Join(t.chart(), "monitoring/alerts.yaml")}
	config.Global = map[string]string{"scrape_interval": "1s"}
	t.check(config.Discover(context.Background(), t))
	documented, err := monitoring.Start(t.TempDir(), config)
	t.check(err)
	defer documented.Stop()
	t.scrapes(documented, len(t.nodes)+len(t.controllers(t)))

	labels := func(s *monitoring.Server) (all []string) {
		targets, err := s.Targets()
		t.check(err)
		for _, target := range targets {
			if l := target.Labels; l["job"] != "kubelet" {
				all = append(all, strings.Join([]string{l["job"], l["component"], l["node"], l["pod"], l["instance"]}, " "))
			}
		}
		slices.Sort(all)
		return all
	}
	if want, got := labels(s), labels(documented); !slices.Equal(got, want) {
		t.Errorf("the configuration in docs scrapes %q, the PodMonitor %q", got, want)
	}
}

// replicasOf is a StatefulSet whose replicas all start at once, with claims of this class and size.
func replicasOf(name string, replicas int32, class string, size int64, script string) *appsv1.StatefulSet {
	set := newStatefulSet(name, replicas, script)
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*sized("data", class, size)}
	return set
}

var pictures = flag.Duration("dashboards", 0, "how long TestDashboards lets pods work before it draws the dashboards, such as 8m")

// TestDashboards draws the dashboards for docs, of pods that work for some minutes on a
// cluster that nothing else uses. It expects a cluster that hostdir is not installed on.
func TestDashboards(t *testing.T) {
	if *pictures == 0 {
		t.Skip("draws only with -dashboards")
	}
	const interval = 5 * time.Second
	c := connect(t)
	const fast = "/mnt/fast"
	for i, node := range c.nodes {
		for _, d := range []disk{
			c.makeDisk(t, node, pool, int64(8+2*i)<<30, "mkfs.ext4", "-q", "-F"),
			c.makeDisk(t, node, fast, int64(4+2*i)<<30, "mkfs.btrfs", "-q"),
		} {
			t.Cleanup(func() { d.remove(t) })
		}
		c.onNode(t, node, "btrfs", "quota", "enable", fast)
	}
	t.Cleanup(func() { run(t, "helm", "uninstall", "hostdir", "--namespace", home, "--wait", "--timeout", "3m") })
	c.install(t, "--set", "pools[1].name=fast,pools[1].paths[0]="+fast+",pools[1].requireMountPoint=true")

	// Each namespace's pods write as its name says.
	class := begin(t, c).createClass(map[string]string{"pool": "fast", "quota": "required"})
	spaces := map[string]*test{}
	for _, name := range []string{"shop", "mail", "media", "ci"} {
		spaces[name] = beginIn(t, c, metav1.ObjectMeta{Name: name})
	}
	s := spaces["shop"].prometheus(interval)
	began := time.Now()
	work := func(namespace, name, class string, replicas int32, size int64, script string) {
		spaces[namespace].createStatefulSet(replicasOf(name, replicas, class, size, "("+script+") &"))
	}
	const grow = "i=0; while true; do i=$((i+1)); dd if=/dev/urandom of=/data/$i bs=1M count=%d 2>/dev/null || true; sync; sleep %d; done"
	// A database that grows, a queue that is emptied, archives, and a cache in the pool without limits.
	work("shop", "postgres", class, 2, 512*mebibyte, fmt.Sprintf(grow, 8, 10))
	work("mail", "queue", class, 2, 256*mebibyte, `while true; do for i in 1 2 3 4 5 6; do dd if=/dev/urandom of=/data/$i bs=1M count=30 2>/dev/null || true; sync; sleep 15; done; rm -f /data/*; sync; sleep 15; done`)
	work("media", "archive", class, 1, 1024*mebibyte, "dd if=/dev/urandom of=/data/old bs=1M count=600 2>/dev/null; "+fmt.Sprintf(grow, 4, 20))
	work("shop", "cache", "hostdir", 2, 2048*mebibyte, `i=0; while true; do i=$((i+1)); mkdir /data/$i; for f in $(seq 200); do head -c 50000 /dev/urandom >/data/$i/$f; done; sleep 15; done`)

	// And builds that come and go.
	ci := spaces["ci"]
	for i := 1; time.Since(began) < *pictures; i++ {
		name := fmt.Sprint("build-", i)
		ci.createClaim(sized(name, class, int64(64+64*(i%4))*mebibyte))
		ci.createPod(newPod(name, name, "dd if=/dev/urandom of=/data/file bs=1M count=40 2>/dev/null; sync"))
		ci.podRuns(name)
		if i > 3 {
			old := fmt.Sprint("build-", i-3)
			ci.deletePod(old)
			ci.deleteClaim(old)
		}
		time.Sleep(10 * time.Second)
	}
	for _, name := range boards {
		b := c.board(t, name)
		r, err := b.Read(s, began, time.Now(), interval)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Save(filepath.Join(c.repository, "tests/monitoring/testdata", name+".json")); err != nil {
			t.Fatal(err)
		}
		image := filepath.Join(c.repository, "docs/images/dashboard-"+name+".svg")
		if err := os.WriteFile(image, []byte(b.Draw(r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
