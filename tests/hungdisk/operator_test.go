package hungdisk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hostdir/hostdir/tests/plugin"
)

// diskStatus is what tests read of a disk in `hostdir disks -o json`.
type diskStatus struct {
	Pool, Path, State, Reason, Message string
}

const (
	ready    = "ready"
	unusable = "unusable"
	// The reasons of a disk that hangs: calls have waited for it for some time,
	// or it has not been looked at since the start.
	unresponsive = "unresponsive"
	pending      = "pending"
)

// command runs a command of hostdir's. It may fail, because a disk is unusable:
// what counts is that it shows what it should.
func (n *node) command(t *testing.T, ctx context.Context, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, plugin.BuildPlain(t), append(args, "--endpoint=unix://"+n.Socket)...)
	out, err := cmd.Output()
	if len(out) > 0 && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("hostdir %s: %w", strings.Join(args, " "), err)
	}
	return out, err
}

// disks asks for the state of each disk, by path.
func (n *node) disks(t *testing.T, ctx context.Context) (map[string]diskStatus, error) {
	t.Helper()
	out, err := n.command(t, ctx, "disks", "-o", "json")
	if err != nil {
		return nil, err
	}
	var answer struct{ Disks []diskStatus }
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("hostdir disks: %w: %s", err, out)
	}
	byPath := map[string]diskStatus{}
	for _, d := range answer.Disks {
		byPath[d.Path] = d
	}
	return byPath, nil
}

// awaitDisks waits until the disks are as they should be, and reports how they
// are if that takes too long.
func (n *node) awaitDisks(t *testing.T, limit time.Duration, what string, good func(map[string]diskStatus) bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		disks, err := n.disks(t, t.Context())
		if err == nil && good(disks) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s: %+v, %v", limit, what, disks, err)
		}
	}
}

// awaitRecovery waits until all disks are in use.
func (n *node) awaitRecovery(t *testing.T) {
	t.Helper()
	n.awaitDisks(t, recovers, "all disks are ready", func(disks map[string]diskStatus) bool {
		for _, path := range []string{n.a, n.b, n.c, n.d, n.e} {
			if disks[path].State != ready {
				return false
			}
		}
		return true
	})
}

// awaitHang waits until it is known that disks hang, which takes up to ten
// seconds: five of a call's wait, and the time until there is such a call.
func (n *node) awaitHang(t *testing.T) {
	t.Helper()
	n.awaitDisks(t, firstTime, "the disks that hang are unusable and say why, and the others are ready", func(disks map[string]diskStatus) bool {
		for _, path := range []string{n.a, n.b, n.d} {
			if disks[path].State != ready {
				return false
			}
		}
		return n.hangs(disks, unresponsive)
	})
}

// hangs reports whether both disks that hang are unusable for one of the reasons.
func (n *node) hangs(disks map[string]diskStatus, reasons ...string) bool {
	for _, path := range []string{n.c, n.e} {
		d, known := disks[path], false
		for _, reason := range reasons {
			known = known || d.Reason == reason
		}
		if d.State != unusable || d.Message == "" || !known {
			return false
		}
	}
	return true
}

// person and crowd are clients at addresses of their own, which the program tells
// apart. Each request takes a new connection, as that of whoever comes back after
// having given up.
var person, crowd = clientAt("127.0.0.1"), clientAt("127.0.0.2")

func clientAt(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
}

func (n *node) get(ctx context.Context, client *http.Client, path string) (body string, code int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP+path, nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), resp.StatusCode, err
}

// scrape is an answer of /metrics.
type scrape map[string]*dto.MetricFamily

func (n *node) scrape(ctx context.Context) (scrape, error) {
	body, code, err := n.get(ctx, person, "/metrics")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("/metrics answers %d", code)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(strings.NewReader(body))
}

// value is that of the metric with these labels, and perhaps more; 0 if there is
// none.
func (s scrape) value(name string, labels map[string]string) float64 {
	for _, m := range s[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		all := true
		for name, value := range labels {
			all = all && have[name] == value
		}
		if all {
			return m.GetGauge().GetValue()
		}
	}
	return 0
}
