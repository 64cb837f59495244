package faultmatrix

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

const mebibyte = 1 << 20

// server is a plugin and a client of it.
type server struct {
	*plugin.Plugin
	plugin.Client
	ctx context.Context
}

// layout prepares a plugin whose pool is at base. It does not run yet.
func layout(t *testing.T, base string) *server {
	t.Helper()
	s := &server{Plugin: plugin.Layout(t, base), ctx: t.Context()}
	t.Cleanup(func() { disk.UnmountBelow(t, s.KubeletDir) })
	return s
}

// start runs a plugin whose pool is at base.
func start(t *testing.T, base string) *server {
	t.Helper()
	s := layout(t, base)
	s.run(t)
	return s
}

func (s *server) run(t *testing.T) {
	t.Helper()
	s.Run(t)
	s.Client = plugin.NewClient(s.Conn)
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	s.Signal(t, syscall.SIGTERM)
}

func (s *server) create(t *testing.T, name string) (volumeID string) {
	t.Helper()
	id, err := s.Create(s.ctx, name, mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *server) target(name string) string { return filepath.Join(s.KubeletDir, name) }

// capacity is what the plugin says of the room in its pool.
func (s *server) capacity(t *testing.T) int64 {
	t.Helper()
	resp, err := s.GetCapacity(s.ctx, &csi.GetCapacityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetAvailableCapacity()
}

// waitCapacity waits until the plugin tells what it should of its room. It answers
// from memory: what is there is a second old at most.
func (s *server) waitCapacity(t *testing.T, wrong string, right func(bytes int64) bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		bytes := s.capacity(t)
		if right(bytes) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %d bytes", wrong, bytes)
			return
		}
	}
}

// listed returns which volumes there are.
func (s *server) listed(t *testing.T) map[string]bool {
	t.Helper()
	resp, err := s.ListVolumes(s.ctx, &csi.ListVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range resp.GetEntries() {
		all[e.GetVolume().GetVolumeId()] = true
	}
	return all
}

// tree lists what is below a directory, with the sizes of files.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			all[path] += fmt.Sprintf(" %d bytes", info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantTree(t *testing.T, root string, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, tree(t, root)); diff != "" {
		t.Errorf("%s has changed (-before +after):\n%s", root, diff)
	}
}

// waitPurged waits until the trash is empty.
func (s *server) waitPurged(t *testing.T) {
	t.Helper()
	plugin.WaitTrash(t, s.Base, 0, time.Minute)
}

// write makes a file with this content.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, want %q: %v", path, got, want, err)
	}
}
