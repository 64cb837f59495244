package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/dir"
	"github.com/hostdir/hostdir/pkg/disk"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// served is a server on a real store, and a client that reaches it.
type served struct {
	*admin.Client
	store *store.Store
	base  string
	// mounted says that all volumes are.
	mounted atomic.Bool
}

func (s *served) checkUnused(*os.File) error {
	if s.mounted.Load() {
		return errdefs.ErrInUse
	}
	return nil
}

func serve(t *testing.T, config, base string) *served {
	t.Helper()
	s, err := store.Open(t.Context(), plugin.NodeName, config, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Look(t.Context())
	socket := filepath.Join(socketDir(t), "admin.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	c := &served{Client: &admin.Client{Socket: socket}, store: s, base: base}
	server := &Server{Store: s, Version: "v9", Driver: "csi.hostdir.io", NodeLabels: map[string]string{"csi.hostdir.io/node": plugin.NodeName}, Mounts: noMounts, CheckUnused: c.checkUnused}
	go func() { done <- server.Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err = c.Disks(t.Context()); err == nil {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// socketDir is short enough for the kernel, whatever the test is called.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func create(t *testing.T, s *store.Store, claim string) store.Volume {
	t.Helper()
	v, err := s.Create(t.Context(), store.CreateRequest{
		Name:          "pvc-" + claim,
		RequiredBytes: 1 << 20,
		Class:         config.Class{Pool: config.DefaultPool, Mode: "0777", Quota: config.QuotaOff},
		Claim:         store.Claim{Namespace: "shop", Name: claim},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDisks(t *testing.T) {
	layout := plugin.Layout(t, "")
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "photo"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	layout.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", layout.Base, foreign))
	c := serve(t, layout.Config, layout.Base)
	v := create(t, c.store, "a")
	if err := c.store.Delete(t.Context(), create(t, c.store, "b").ID, func(*os.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	disks, err := c.Disks(t.Context())
	if err != nil || len(disks.Disks) != 2 {
		t.Fatalf("disks %+v: %v", disks, err)
	}
	good, bad := disks.Disks[0], disks.Disks[1]
	if good.Path != layout.Base || good.State != admin.Ready || good.Volumes != 1 || good.Trash != 1 || good.AllocatedBytes != v.CapacityBytes ||
		good.SizeBytes == nil || *good.SizeBytes == 0 || good.FreeBytes == nil || good.MeasuredAt == nil || good.Reason != "" || !strings.HasPrefix(v.ID, good.UUID+".") {
		t.Errorf("the disk is %+v", good)
	}
	if bad.Path != foreign || bad.State != admin.Unusable || bad.Reason != admin.Reason(disk.Faulty) || !strings.Contains(bad.Message, "photo") || bad.SizeBytes != nil || bad.Quota != "" {
		t.Errorf("the foreign directory is %+v", bad)
	}
}

func TestVolumes(t *testing.T) {
	layout := plugin.Layout(t, "")
	before, err := store.Open(t.Context(), plugin.NodeName, layout.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	before.Look(t.Context())
	v, broken := create(t, before, "a"), create(t, before, "b")
	if err := os.Remove(filepath.Join(filepath.Dir(broken.Path), "volume.json")); err != nil {
		t.Fatal(err)
	}
	got, err := serve(t, layout.Config, layout.Base).Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := admin.Volumes{Volumes: []admin.Volume{
		{ID: broken.ID, Pool: "default", Path: broken.Path, Quarantine: "its volume.json is gone"},
		{
			ID: v.ID, Name: "pvc-a", Claim: &admin.Claim{Namespace: "shop", Name: "a"}, Pool: "default", Node: plugin.NodeName, Path: v.Path,
			CapacityBytes: v.CapacityBytes, Created: &v.Created,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

// TestNothing answers with an empty list, not with null.
func TestNothing(t *testing.T) {
	got, err := serve(t, plugin.Layout(t, "").Config, "").Volumes(t.Context())
	if err != nil || got.Volumes == nil || len(got.Volumes) != 0 {
		t.Errorf("no volumes are %#v (%v)", got.Volumes, err)
	}
}

func TestEveryAnswerHasTheVersion(t *testing.T) {
	c := serve(t, plugin.Layout(t, "").Config, "")
	if c.Version() != "v9" { // serve has asked for the disks
		t.Errorf("the version is %q, want v9", c.Version())
	}
	refused := &admin.Client{Socket: c.Socket}
	if _, err := refused.Purge(t.Context(), "no-such-volume"); !errors.Is(err, admin.ErrRefused) || refused.Version() != "v9" {
		t.Errorf("what is refused: %v, by version %q", err, refused.Version())
	}
}

func TestSocketIsRootsAlone(t *testing.T) {
	c := serve(t, plugin.Layout(t, "").Config, "")
	info, err := os.Lstat(c.Socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v (%v), want root's alone", info.Mode(), err)
	}
}

func TestOnlyTells(t *testing.T) {
	c := serve(t, plugin.Layout(t, "").Config, "")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	}}}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://hostdir/volumes", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s is answered with %s", method, resp.Status)
		}
	}
}

// noMounts is a node on which nothing is mounted.
func noMounts(*os.File) ([]dir.Mount, error) { return nil, nil }
