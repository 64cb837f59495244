package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	alertsFile   = chart + "/monitoring/alerts.yaml"
	runbookPages = "https://github.com/hostdir/hostdir/blob/main/docs/reference/alerts.md#"
)

// An alert is what a rule file says of one.
type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

// alerts are those of the rule file, in its order.
func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(text(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 2 {
		t.Fatalf("%s has %d alerts: the tests prove nothing", alertsFile, len(all))
	}
	return all
}

func text(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// promtool is Prometheus' own opinion; make gets it with the other packages that tests need.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("no promtool: install Debian's package prometheus, or run tests/packages (%v)", err)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlertRules(t *testing.T) { promtool(t, "check", "rules", alertsFile) }

// TestAlertsFire has promtool run testdata/alerts.yaml: each alert alone, and a healthy cluster.
func TestAlertsFire(t *testing.T) { promtool(t, "test", "rules", "testdata/alerts.yaml") }

func TestAlertsAreExplained(t *testing.T) {
	page, tests := text(t, "../docs/reference/alerts.md"), text(t, "testdata/alerts.yaml")
	names := map[string]bool{}
	for _, a := range alerts(t) {
		names[a.Alert] = true
		if !strings.HasPrefix(a.Alert, "Hostdir") {
			t.Errorf("%s: alerts are told apart from others by their prefix Hostdir", a.Alert)
		}
		switch a.Labels["severity"] {
		case "critical", "warning", "info":
		default:
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", a.Alert)
		}
		if want := runbookPages + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s has the runbook %q, want %q", a.Alert, a.Annotations["runbook_url"], want)
		}
		_, section, _ := strings.Cut(page, "\n## "+a.Alert+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, part := range []string{"**Meaning.** ", "**Look at.** ", "**Do.** "} {
			if !strings.Contains(section, part) {
				t.Errorf("docs/reference/alerts.md has no %q on %s", part, a.Alert)
			}
		}
		if !strings.Contains(tests, `alertname="`+a.Alert+`",alertstate="firing"`) {
			t.Errorf("testdata/alerts.yaml does not make %s fire", a.Alert)
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(page, -1) {
		if !names[heading[1]] {
			t.Errorf("docs/reference/alerts.md explains %s, which is no alert", heading[1])
		}
	}
}

// queries are those of the dashboards, panels and variables alike, by their file.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(chart + "/monitoring/dashboards/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("the dashboards are %q (%v), want two", files, err)
	}
	found := map[string][]string{}
	for _, file := range files {
		var board struct {
			UID        string
			Templating struct{ List []struct{ Definition string } }
			Panels     []struct {
				Title, Description string
				Targets            []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(text(t, file)), &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if want := "hostdir-" + strings.TrimSuffix(filepath.Base(file), ".json"); board.UID != want {
			t.Errorf("%s has the uid %q, want %q", file, board.UID, want)
		}
		for _, v := range board.Templating.List {
			found[file] = append(found[file], v.Definition)
		}
		for _, p := range board.Panels {
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: a panel %q lacks a title, a description or a query", file, p.Title)
			}
			for _, target := range p.Targets {
				found[file] = append(found[file], target.Expr)
			}
		}
	}
	return found
}

// TestQueriesNameMetrics looks for each metric of rules and dashboards in hostdir's
// reference, which is compared with the code, and lets nothing else be asked but kubelet's.
func TestQueriesNameMetrics(t *testing.T) {
	known := text(t, "../docs/reference/metrics.md")
	metric := regexp.MustCompile(`\b(hostdir|kubelet|kube|node|controller_runtime|workqueue|process|go)_[a-z_]+`)
	quoted := regexp.MustCompile(`"[^"]*"`)
	asked := queries(t)
	for _, a := range alerts(t) {
		asked[a.Alert] = []string{a.Expr}
	}
	for where, expressions := range asked {
		for _, expression := range expressions {
			for _, name := range metric.FindAllString(quoted.ReplaceAllString(expression, ""), -1) {
				own := strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_bucket")
				if !strings.HasPrefix(name, "kubelet_volume_stats_") && !strings.Contains(known, "| `"+own+"`") {
					t.Errorf("%s asks for %s, which hostdir does not have", where, name)
				}
			}
		}
	}
}

// TestDashboardQueries has Prometheus read the dashboards' queries, as rules.
func TestDashboardQueries(t *testing.T) {
	var rules []map[string]string
	for _, expressions := range queries(t) {
		for _, expression := range expressions {
			if expression == "" || strings.HasPrefix(expression, "label_values(") {
				continue
			}
			expression = strings.ReplaceAll(expression, "$__rate_interval", "5m")
			rules = append(rules, map[string]string{"record": "query", "expr": expression})
		}
	}
	data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// TestMonitoringSwitches renders each part alone, with what is in the plain files.
func TestMonitoringSwitches(t *testing.T) {
	for _, c := range []struct {
		part string
		want map[string]int
	}{
		{"podMonitor", map[string]int{"PodMonitor": 1}},
		{"alerts", map[string]int{"PrometheusRule": 1}},
		{"dashboards", map[string]int{"ConfigMap": 2}},
	} {
		manifests, refusal := render(t, "monitoring: {"+c.part+": {enabled: true, labels: {release: prometheus}}}", "--show-only", "templates/monitoring.yaml")
		if refusal != "" {
			t.Fatal(refusal)
		}
		kinds := map[string]int{}
		for _, document := range regexp.MustCompile(`(?m)^---$`).Split(string(manifests), -1) {
			var object struct {
				Kind     string
				Metadata struct{ Labels map[string]string }
				Data     map[string]string
				Spec     map[string]any
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatalf("%v, in:\n%s", err, document)
			}
			if object.Kind == "" {
				continue
			}
			kinds[object.Kind]++
			if object.Metadata.Labels["release"] != "prometheus" || object.Metadata.Labels["app.kubernetes.io/name"] != "hostdir" {
				t.Errorf("%s has the labels %v", object.Kind, object.Metadata.Labels)
			}
			for name, content := range object.Data {
				if object.Metadata.Labels["grafana_dashboard"] != "1" {
					t.Errorf("Grafana does not find %s by %v", name, object.Metadata.Labels)
				}
				plain := text(t, filepath.Join(chart, "monitoring/dashboards", strings.TrimPrefix(name, "hostdir-")))
				if diff := cmp.Diff(strings.TrimSpace(plain), content); diff != "" {
					t.Errorf("%s is not the file (-file +chart):\n%s", name, diff)
				}
			}
			if object.Kind == "PrometheusRule" {
				var plain map[string]any
				if err := yaml.Unmarshal([]byte(text(t, alertsFile)), &plain); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(plain, object.Spec); diff != "" {
					t.Errorf("the alerts are not those of the file (-file +chart):\n%s", diff)
				}
			}
		}
		if diff := cmp.Diff(c.want, kinds); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.part, diff)
		}
	}
}
