package monitoring

import (
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Discover gives Prometheus the targets, with the labels, that its own discovery in
// Kubernetes finds: Debian's is built without that. What is kept of them and how it is
// named is then up to the configuration.
func (c Config) Discover(ctx context.Context, client kubernetes.Interface) error {
	for _, scrape := range c.Scrapes {
		discoveries, _ := scrape["kubernetes_sd_configs"].([]any)
		delete(scrape, "kubernetes_sd_configs")
		var targets []any
		for _, d := range discoveries {
			role := d.(map[string]any)["role"]
			var found []any
			var err error
			switch role {
			case "pod":
				found, err = pods(ctx, client)
			case "node":
				found, err = nodes(ctx, client)
			default:
				err = fmt.Errorf("the role %v is not known here", role)
			}
			if err != nil {
				return err
			}
			targets = append(targets, found...)
		}
		scrape["static_configs"] = targets
	}
	return nil
}

func target(address string, labels map[string]string) map[string]any {
	return map[string]any{"targets": []string{address}, "labels": labels}
}

func pods(ctx context.Context, client kubernetes.Interface) ([]any, error) {
	list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var all []any
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			continue // it is ending: nobody would notice later that it is gone
		}
		for _, container := range p.Spec.Containers {
			for _, port := range container.Ports {
				labels := map[string]string{
					"__meta_kubernetes_namespace":               p.Namespace,
					"__meta_kubernetes_pod_name":                p.Name,
					"__meta_kubernetes_pod_node_name":           p.Spec.NodeName,
					"__meta_kubernetes_pod_phase":               string(p.Status.Phase),
					"__meta_kubernetes_pod_container_name":      container.Name,
					"__meta_kubernetes_pod_container_port_name": port.Name,
				}
				for key, value := range p.Labels {
					labels[podLabel(key)] = value
				}
				all = append(all, target(net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port.ContainerPort)), labels))
			}
		}
	}
	return all, nil
}

func nodes(ctx context.Context, client kubernetes.Interface) ([]any, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var all []any
	for _, n := range list.Items {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				all = append(all, target(net.JoinHostPort(a.Address, "10250"), map[string]string{"__meta_kubernetes_node_name": n.Name}))
			}
		}
	}
	return all, nil
}
