package monitoring

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func prometheus(t *testing.T, c Config) *Server {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("no Prometheus: run tests/packages")
	}
	s, err := Start(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func TestServer(t *testing.T) {
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hostdir_config_valid 0")
	}))
	defer exporter.Close()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(`groups: [{name: a, rules: [{alert: Refused, expr: hostdir_config_valid == 0, for: 1h}, {alert: Quiet, expr: hostdir_config_valid == 2}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := prometheus(t, Config{
		Global:  map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		Rules:   []string{rules},
		Scrapes: []map[string]any{{"job_name": "hostdir", "static_configs": []any{map[string]any{"targets": []string{strings.TrimPrefix(exporter.URL, "http://")}}}}},
	})
	var seen []Rule
	for until := began.Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var err error
		if seen, err = s.Rules(); err != nil {
			t.Fatal(err)
		}
		if len(seen) == 2 && len(seen[0].Alerts) == 1 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the rules are %v", seen)
		}
	}
	if seen[0].Health != "ok" || seen[0].Alerts[0].State != "pending" || len(seen[1].Alerts) != 0 {
		t.Errorf("the rules are %v", seen)
	}
	targets, err := s.Targets()
	if err != nil || len(targets) != 1 || targets[0].Health != "up" || targets[0].Labels["job"] != "hostdir" {
		t.Errorf("the targets are %v (%v)", targets, err)
	}
	now, err := s.Query("hostdir_config_valid", time.Now())
	if err != nil || len(now) != 1 || len(now[0].Points) != 1 || now[0].Points[0].Value != 0 {
		t.Errorf("the metric is %v (%v)", now, err)
	}
	span, err := s.QueryRange("up", began, time.Now().Add(time.Second), time.Second) // the last step is after the scrape
	if err != nil || len(span) != 1 || span[0].last() != 1 {
		t.Errorf("over time it is %v (%v)", span, err)
	}
	if none, err := s.Query("0 / 0 * up", time.Now()); err != nil || len(none) != 0 {
		t.Errorf("what is no number is shown: %v (%v)", none, err)
	}
	if _, err := s.Query("up{", time.Now()); err == nil || !strings.Contains(err.Error(), "parse error") {
		t.Errorf("a query that is none says %v", err)
	}
}

// What is in docs is a configuration, and the whole of it is seen.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Documented(page)
	if err != nil {
		t.Fatal(err)
	}
	content, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"honor_labels: true", "role: pod", "target_label: node", "target_label: pod", "- alerts.yaml"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("%q is not in:\n%s", want, content)
		}
	}
}
