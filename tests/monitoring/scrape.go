package monitoring

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Config is Prometheus' configuration, as far as it is used here.
type Config struct {
	Global  map[string]string `json:"global,omitempty"`
	Rules   []string          `json:"rule_files,omitempty"`
	Scrapes []map[string]any  `json:"scrape_configs"`
}

// relabeling is an entry of relabel_configs.
type relabeling map[string]any

// FromPodMonitor makes of a PodMonitor what the Prometheus operator makes of it. Of its
// selector it knows "In", which is what the chart uses, and nothing of metrics' relabeling.
func FromPodMonitor(manifest []byte) (map[string]any, error) {
	var m struct {
		Metadata struct{ Namespace string }
		Spec     struct {
			JobLabel string
			Selector struct {
				MatchExpressions []struct {
					Key, Operator string
					Values        []string
				}
			}
			PodMetricsEndpoints []struct {
				Port, Interval string
				HonorLabels    bool
				Relabelings    []struct {
					SourceLabels []string
					TargetLabel  string
				}
			}
		}
	}
	if err := yaml.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	if len(m.Spec.PodMetricsEndpoints) != 1 || len(m.Spec.Selector.MatchExpressions) == 0 {
		return nil, errors.New("want a PodMonitor of one endpoint, which selects by expressions")
	}
	endpoint := m.Spec.PodMetricsEndpoints[0]
	var relabelings []relabeling
	for _, e := range m.Spec.Selector.MatchExpressions {
		if e.Operator != "In" {
			return nil, fmt.Errorf("the operator %q is not known here", e.Operator)
		}
		relabelings = append(relabelings, relabeling{"action": "keep", "source_labels": []string{podLabel(e.Key)}, "regex": strings.Join(e.Values, "|")})
	}
	relabelings = append(relabelings,
		relabeling{"action": "drop", "source_labels": []string{"__meta_kubernetes_pod_phase"}, "regex": "Failed|Succeeded"},
		relabeling{"action": "keep", "source_labels": []string{"__meta_kubernetes_pod_container_port_name"}, "regex": endpoint.Port},
		relabeling{"source_labels": []string{"__meta_kubernetes_namespace"}, "target_label": "namespace"},
		relabeling{"source_labels": []string{"__meta_kubernetes_pod_container_name"}, "target_label": "container"},
		relabeling{"source_labels": []string{"__meta_kubernetes_pod_name"}, "target_label": "pod"},
		relabeling{"source_labels": []string{podLabel(m.Spec.JobLabel)}, "target_label": "job"},
		relabeling{"target_label": "endpoint", "replacement": endpoint.Port},
	)
	for _, r := range endpoint.Relabelings {
		relabelings = append(relabelings, relabeling{"source_labels": r.SourceLabels, "target_label": r.TargetLabel})
	}
	scrape := map[string]any{
		"job_name":              "podMonitor/" + m.Metadata.Namespace + "/hostdir",
		"honor_labels":          endpoint.HonorLabels,
		"kubernetes_sd_configs": []any{map[string]any{"role": "pod"}},
		"relabel_configs":       relabelings,
	}
	if endpoint.Interval != "" {
		scrape["scrape_interval"] = endpoint.Interval
	}
	return scrape, nil
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func podLabel(key string) string {
	return "__meta_kubernetes_pod_label_" + notInLabels.ReplaceAllString(key, "_")
}

// Documented is the configuration that a page of docs shows.
func Documented(page []byte) (Config, error) {
	const begin = "    rule_files:"
	_, block, found := strings.Cut(string(page), begin)
	if !found {
		return Config{}, errors.New("the page shows no configuration of Prometheus")
	}
	var text strings.Builder
	text.WriteString(strings.TrimSpace(begin))
	for i, line := range strings.Split(block, "\n") {
		if i > 0 && !strings.HasPrefix(line, "    ") {
			break
		}
		text.WriteString(strings.TrimPrefix(line, "    ") + "\n")
	}
	var c Config
	if err := yaml.Unmarshal([]byte(text.String()), &c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Kubelets scrapes the kubelets by way of the API server, which lets an administrator do so.
// The files of the certificates go into the folder.
func Kubelets(dir string, config *rest.Config) (map[string]any, error) {
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	tls := map[string]string{}
	for name, content := range map[string][]byte{"ca_file": config.CAData, "cert_file": config.CertData, "key_file": config.KeyData} {
		tls[name] = filepath.Join(dir, name)
		if err := os.WriteFile(tls[name], content, 0o600); err != nil {
			return nil, err
		}
	}
	name := []string{"__meta_kubernetes_node_name"}
	return map[string]any{
		"job_name":              "kubelet",
		"honor_labels":          true,
		"scheme":                "https",
		"tls_config":            tls,
		"kubernetes_sd_configs": []any{map[string]any{"role": "node"}},
		"relabel_configs": []relabeling{
			{"source_labels": name, "target_label": "node"},
			{"source_labels": name, "target_label": "__metrics_path__", "replacement": "/api/v1/nodes/$1/proxy/metrics"},
			{"target_label": "__address__", "replacement": server.Host},
		},
	}, nil
}
