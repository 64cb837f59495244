package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/hostdir/hostdir/tests/plugin"
)

func TestHealth(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	ask := func(path string, wantStatus int, says string) {
		t.Helper()
		resp, err := http.Get("http://" + p.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != wantStatus || !strings.Contains(string(body), says) {
			t.Errorf("%s: %s, %q (%v), want %d and %q", path, resp.Status, body, err, wantStatus, says)
		}
	}
	ask("/healthz", http.StatusOK, "ok")
	ask("/readyz", http.StatusServiceUnavailable, "kubelet has not registered the driver yet")
	ask("/", http.StatusNotFound, "")

	conn, err := grpc.NewClient("unix://"+p.Sockets()[1], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kubelet := registerapi.NewRegistrationClient(conn)
	for _, test := range []struct {
		registered bool
		wantStatus int
	}{
		{true, http.StatusOK},
		{false, http.StatusServiceUnavailable},
	} {
		status := &registerapi.RegistrationStatus{PluginRegistered: test.registered}
		if _, err := kubelet.NotifyRegistrationStatus(plugin.Context(t), status); err != nil {
			t.Fatal(err)
		}
		ask("/readyz", test.wantStatus, "")
		ask("/healthz", http.StatusOK, "ok")
	}

	// A disk that is gone fails neither: a restart would not bring it back.
	p.Expect("DiskUnusable")
	if err := os.RemoveAll(p.Base); err != nil {
		t.Fatal(err)
	}
	ask("/healthz", http.StatusOK, "ok")
}

// TestLargeHeaders sends more than anybody needs to: every pod may reach the
// port.
func TestLargeHeaders(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	for size, want := range map[int]int{8 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		req, err := http.NewRequestWithContext(plugin.Context(t), http.MethodGet, "http://"+p.HTTP+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", size))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("headers of %d bytes: %s, want %d", size, resp.Status, want)
		}
	}
}

// TestMetrics asks the program for what it has counted of this test.
func TestMetrics(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	createVolume(t, p, "a")
	resp, err := http.Get("http://" + p.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"hostdir_build_info", "hostdir_disk_up", "hostdir_volume_capacity_bytes"} {
		if n := len(families[metric].GetMetric()); n != 1 {
			t.Errorf("%s has %d samples, want 1", metric, n)
		}
	}
	created := false
	for _, m := range families["hostdir_call_duration_seconds"].GetMetric() {
		kind := map[string]string{}
		for _, l := range m.GetLabel() {
			kind[l.GetName()] = l.GetValue()
		}
		created = created || kind["method"] == "CreateVolume" && kind["code"] == "OK" && m.GetHistogram().GetSampleCount() == 1
	}
	if !created {
		t.Errorf("the creation of a volume is not among the calls: %v", families["hostdir_call_duration_seconds"])
	}
}
