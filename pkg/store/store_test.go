package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

const (
	testNode = "node-1"
	mebibyte = 1 << 20
)

// openStore opens a store on this configuration, without Run: nothing happens
// in the background. It is on a node that has had no disk yet.
func openStore(t *testing.T, config string) *Store {
	t.Helper()
	plugin.RequireRoot(t) // volumes have owners
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, config)
	s, err := Open(t.Context(), testNode, file, filepath.Join(t.TempDir(), "disks.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.ownerPatience = 0 // the stores of most tests are followed by another one at once
	s.Look(t.Context())
	return s
}

// newStore opens a store with one pool in a new directory.
func newStore(t *testing.T) (s *Store, base string) {
	t.Helper()
	base = t.TempDir()
	return openStore(t, onePool(base)), base
}

// reopen is what a restart of the program does.
func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	again, err := Open(t.Context(), s.node, s.configFile, s.history.File())
	if err != nil {
		t.Fatal(err)
	}
	again.ownerPatience = s.ownerPatience
	again.Look(t.Context())
	return again
}

// onePool is the configuration of a pool "default" on these disks.
func onePool(paths ...string) string {
	return fmt.Sprintf("pools: [{name: default, paths: [%s]}]", quoted(paths))
}

func quoted(paths []string) string {
	list := ""
	for _, path := range paths {
		list += fmt.Sprintf("%q,", path)
	}
	return list
}

var defaultClass = config.Class{Pool: config.DefaultPool, Mode: "0777", Quota: config.QuotaAuto}

// ignoreCount leaves out when and what was counted: a start counts anew.
var ignoreCount = cmpopts.IgnoreFields(Volume{}, "Usage")

// request asks for a small volume.
func request(name string) CreateRequest {
	return CreateRequest{Name: name, RequiredBytes: mebibyte, Class: defaultClass}
}

func mustCreate(t *testing.T, s *Store, req CreateRequest) Volume {
	t.Helper()
	v, err := s.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// anyUse lets Delete and Usage pass.
func anyUse(*os.File) error { return nil }

func mustDelete(t *testing.T, s *Store, volumeID string) {
	t.Helper()
	if err := s.Delete(t.Context(), volumeID, anyUse); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdirAll(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// wantNames checks what a directory holds.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

// wantClass checks the class of an error, nil for none.
func wantClass(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("error %v, want %v", err, class)
	}
}

// wantUnusable checks what a store answers for a volume whose disk,
// the only one of its pool, cannot be used.
func wantUnusable(t *testing.T, s *Store, volumeID string) {
	t.Helper()
	s.sampleAll()
	if c := s.Capacity(config.Class{Pool: config.DefaultPool}); c != (Capacity{}) {
		t.Errorf("capacity %+v, want none", c)
	}
	_, err := s.Create(t.Context(), request("pvc-elsewhere"))
	wantClass(t, err, errdefs.ErrNoSpace)
	_, err = s.Volume(t.Context(), volumeID)
	wantClass(t, err, errdefs.ErrUnavailable)
	wantClass(t, s.WithData(t.Context(), volumeID, anyUse), errdefs.ErrUnavailable)
	wantClass(t, s.Delete(t.Context(), volumeID, anyUse), errdefs.ErrUnavailable)
}

// brokenBecause returns why the store's only disk cannot be used.
func brokenBecause(t *testing.T, s *Store) error {
	t.Helper()
	status := s.Status()
	if len(status) != 1 {
		t.Fatalf("%d disks, want 1", len(status))
	}
	return status[0].Err
}
