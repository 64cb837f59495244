package nodeloss

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// plugins are the labels of the node plugin's pods.
var plugins = client.MatchingLabels{"app.kubernetes.io/name": "hostdir", "app.kubernetes.io/component": "node"}

// diskInfo is the metric that tells the disks that a plugin uses.
const diskInfo = "hostdir_disk_info"

// maxRead is how much of the metrics is read: disks come before volumes.
const maxRead = 1 << 20

var plain = http.Client{
	Timeout: 5 * time.Second,
	// The address is the pod's own: no proxy, and no other place that it sends to.
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// askPlugin returns the UUIDs of the disks that a node's plugin uses now.
func (l *nodeloss) askPlugin(ctx context.Context, node string) (map[string]bool, error) {
	var pods corev1.PodList
	if err := l.live.List(ctx, &pods, client.InNamespace(l.namespace), plugins); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Spec.NodeName != node || p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" {
			continue
		}
		for _, c := range p.Spec.Containers {
			for _, port := range c.Ports {
				if port.Name == "http" {
					return ask(ctx, net.JoinHostPort(p.Status.PodIP, strconv.Itoa(int(port.ContainerPort))))
				}
			}
		}
	}
	return nil, fmt.Errorf("no pod of the plugin runs on node %s", node)
}

func ask(ctx context.Context, address string) (map[string]bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := plain.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the plugin at %s answers %s", address, answer.Status)
	}
	return readDisks(io.LimitReader(answer.Body, maxRead))
}

var uuidLabel = regexp.MustCompile(`[{,]uuid="([^"\\]+)"[,}]`)

// readDisks reads the metric out of Prometheus' text format. An answer without it, or
// that breaks off in it, tells nothing.
func readDisks(r io.Reader) (map[string]bool, error) {
	disks, begun := map[string]bool{}, false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "# TYPE "+diskInfo+" gauge":
			begun = true
		case strings.HasPrefix(line, diskInfo+"{"):
			if match := uuidLabel.FindStringSubmatch(line); match != nil {
				disks[match[1]] = true
			}
		case begun && strings.HasPrefix(line, "# "):
			return disks, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("the plugin does not tell its disks: it is of an older version, or the answer is not whole")
}
