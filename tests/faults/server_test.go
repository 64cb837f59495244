package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/faults/intercept"
	"github.com/hostdir/hostdir/tests/plugin"
)

// server is a plugin under the tap, and clients of its services.
type server struct {
	*plugin.Plugin
	csi.ControllerClient
	csi.NodeClient

	tap tap
	// ctx bounds the calls of the test.
	ctx context.Context
	// limited says that volumes have limits, and that nobody waits for the trash:
	// the filesystem takes its time.
	limited bool
	// keeps says that volume pvc-1 stays in the trash once it is deleted.
	keeps bool
	// outside is a directory that is none of the plugin's business.
	outside string
}

// layOut makes the surroundings of a plugin, without starting it.
func layOut(t *testing.T, at place) *server {
	t.Helper()
	p := plugin.Layout(t, at.base(t))
	root := filepath.Dir(p.Config)
	s := &server{
		Plugin:  p,
		ctx:     plugin.Context(t),
		outside: filepath.Join(root, "outside"),
		limited: at.limited,
		tap: tap{at: nowhere, trees: []tree{
			{p.Base, "pool"},
			{p.KubeletDir, "kubelet"},
			{filepath.Join(root, "old"), "old"},
		}, sockets: []string{filepath.Dir(p.Socket), p.RegistrationDir}},
	}
	p.Plain = true
	p.StartProgram = func(cmd *exec.Cmd) error { return intercept.Start(cmd, s.tap.decide) }
	// Before the directory is removed, and after the plugin has stopped.
	t.Cleanup(func() { unmountBelow(t, p.KubeletDir) })
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]\nimport: [%q]", p.Base, s.old()))
	for _, dir := range []string{s.old(), s.outside, s.podDir("pvc-1"), s.podDir("pvc-other")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(s.outside, "precious"), "not the plugin's")
	return s
}

// run starts the program, and returns when it has done what it does at start.
func (s *server) run(t *testing.T) {
	t.Helper()
	s.Run(t)
	s.ControllerClient, s.NodeClient = csi.NewControllerClient(s.Conn), csi.NewNodeClient(s.Conn)
	s.tap.quiet()
}

// restart stops the program as kubelet does and runs it again.
func (s *server) restart(t *testing.T) {
	t.Helper()
	s.Signal(t, syscall.SIGTERM)
	s.run(t)
	s.waitPurged(t)
}

// old is where the directories to import are.
func (s *server) old() string { return filepath.Join(filepath.Dir(s.Config), "old") }

func (s *server) podDir(name string) string { return filepath.Join(s.KubeletDir, "pods", name) }

// target is where a volume is published.
func (s *server) target(name string) string { return filepath.Join(s.podDir(name), "mount") }

// data is the data directory of a volume.
func (s *server) data(name string) string {
	return filepath.Join(s.Base, "volumes", name, "data")
}

// volumeID is the ID that a volume has, made or not.
func (s *server) volumeID(t *testing.T, name string) string {
	t.Helper()
	marker, err := os.ReadFile(filepath.Join(s.Base, "disk.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(marker), `"uuid": "`)
	uuid, _, _ := strings.Cut(rest, `"`)
	return uuid + "." + name
}

// waitPurged waits until there is nothing in the trash but what is kept.
func (s *server) waitPurged(t *testing.T) {
	t.Helper()
	if s.limited {
		return
	}
	for deadline := time.Now().Add(30 * time.Second); s.trash(t) > 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the trash is not emptied")
		}
	}
}

// trash counts what is in the trash and is to be purged.
func (s *server) trash(t *testing.T) int {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(s.Base, "trash")); os.IsNotExist(err) { // before the pool is made
		return 0
	}
	return len(slices.DeleteFunc(plugin.Trash(t, s.Base), func(name string) bool {
		return s.keeps && !strings.HasPrefix(name, "pvc-1.purge.")
	}))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mountsBelow returns what is mounted below a directory, the latest last.
func mountsBelow(t *testing.T, root string) []*mountinfo.Info {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(root))
	if err != nil {
		t.Fatal(err)
	}
	return mounts
}

func unmountBelow(t *testing.T, root string) {
	t.Helper()
	for _, m := range slices.Backward(mountsBelow(t, root)) {
		if err := unix.Unmount(m.Mountpoint, unix.UMOUNT_NOFOLLOW); err != nil {
			t.Errorf("unmount %s: %v", m.Mountpoint, err)
		}
	}
}
