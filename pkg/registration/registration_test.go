package registration

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const endpoint = "/var/lib/kubelet/plugins/csi.hostdir.io/csi.sock"

// kubelet finds the driver's socket in its directory, as kubelet's watcher does,
// and returns a client of it.
func kubelet(t *testing.T, dir string) registerapi.RegistrationClient {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found, err := filepath.Glob(filepath.Join(dir, "*.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			conn, err := grpc.NewClient("unix://"+found[0], grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.WaitForReady(true))) // its name is there before it listens
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return registerapi.NewRegistrationClient(conn)
		}
		if time.Now().After(deadline) {
			t.Fatalf("sockets %q, want one", found)
		}
	}
}

func TestRegistration(t *testing.T) {
	dir, err := os.MkdirTemp("", "reg-") // short: the name of the socket is long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &Registration{DriverName: "csi.hostdir.io", Endpoint: endpoint}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, dir) }()

	// A second time after the directory was emptied, as by a new kubelet.
	for round := range 2 {
		client := kubelet(t, dir)
		info, err := client.GetInfo(ctx, &registerapi.InfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if info.GetType() != registerapi.CSIPlugin || info.GetName() != r.DriverName || info.GetEndpoint() != endpoint {
			t.Errorf("the plugin is %s %q at %q", info.GetType(), info.GetName(), info.GetEndpoint())
		}
		// kubelet refuses versions of CSI that it does not speak.
		if !slices.Contains(info.GetSupportedVersions(), "1.0.0") {
			t.Errorf("versions %q, want 1.0.0 among them", info.GetSupportedVersions())
		}
		if was := round > 0; r.Registered() != was {
			t.Errorf("registered before kubelet's word: %t, want %t", r.Registered(), was)
		}
		for _, status := range []*registerapi.RegistrationStatus{
			{PluginRegistered: false, Error: "the socket does not answer"},
			{PluginRegistered: true},
		} {
			if _, err := client.NotifyRegistrationStatus(ctx, status); err != nil {
				t.Fatal(err)
			}
			if r.Registered() != status.GetPluginRegistered() {
				t.Errorf("registered: %t, want kubelet's last word", r.Registered())
			}
		}
		if err := os.Remove(filepath.Join(dir, "csi.hostdir.io-reg.sock")); err != nil {
			t.Fatal(err)
		}
	}
	kubelet(t, dir)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("%q stay after the end", left)
	}
}
