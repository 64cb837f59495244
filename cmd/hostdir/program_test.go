package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/tests/plugin"
)

// layOut makes the surroundings of a program.
func layOut(t *testing.T) *plugin.Plugin {
	t.Helper()
	return plugin.Layout(t, "")
}

// command is a command with the flags that the surroundings ask for, and more.
func command(t *testing.T, p *plugin.Plugin, flags ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(plugin.Context(t), plugin.Build(t), append([]string{
		"--endpoint=unix://" + p.Socket,
		"--node-name=" + plugin.NodeName,
		"--config=" + p.Config,
		"--kubelet-dir=" + p.KubeletDir,
		"--registration-dir=" + p.RegistrationDir,
		"--http-address=127.0.0.1:0",
	}, flags...)...)
}

func TestStop(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			p := layOut(t)
			p.Run(t)
			for _, path := range p.Sockets() {
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != os.ModeSocket|0o600 {
					t.Errorf("%s has mode %s, want root's alone", path, info.Mode())
				}
			}
			p.Signal(t, signal) // an exit code other than 0 is an error
			for _, path := range p.Sockets() {
				if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s stays after the end: %v", path, err)
				}
			}
			if !strings.Contains(p.Log(), "hostdir stopped") {
				t.Error("the log does not tell that hostdir stopped")
			}
		})
	}
}

// TestKill ends the program without a warning while a volume is published. The
// next one takes over: its volumes, its sockets, its mounts.
func TestKill(t *testing.T) {
	p := layOut(t)
	target := filepath.Join(p.KubeletDir, "target")
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
	p.Run(t)
	ctx := plugin.Context(t)
	writer := &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
	create := &csi.CreateVolumeRequest{
		Name:               "pvc-1",
		CapacityRange:      &csi.CapacityRange{RequiredBytes: 1 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{writer},
	}
	made, err := csi.NewControllerClient(p.Conn).CreateVolume(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	publish := &csi.NodePublishVolumeRequest{VolumeId: made.GetVolume().GetVolumeId(), TargetPath: target, VolumeCapability: writer}
	if _, err := csi.NewNodeClient(p.Conn).NodePublishVolume(ctx, publish); err != nil {
		t.Fatal(err)
	}

	p.Signal(t, syscall.SIGKILL)
	// The pod goes on.
	file := filepath.Join(target, "written-while-down")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Error(err)
	}
	p.Run(t)

	controller, node := csi.NewControllerClient(p.Conn), csi.NewNodeClient(p.Conn)
	again, err := controller.CreateVolume(ctx, create)
	if err != nil || again.GetVolume().GetVolumeId() != made.GetVolume().GetVolumeId() {
		t.Errorf("created again the volume is %v, it was %v: %v", again.GetVolume(), made.GetVolume(), err)
	}
	if _, err := node.NodePublishVolume(ctx, publish); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if _, err := node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: publish.GetVolumeId(), TargetPath: target}); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the target stays: %v", err)
	}
}

func TestExit(t *testing.T) {
	for _, test := range []struct {
		name   string
		config string
		flags  []string
		code   int
		says   string
	}{
		{"version", "", []string{"--version"}, 0, "hostdir dev"},
		{"help", "", []string{"--help"}, 0, "--node-name"},
		{"help tells of commands", "", []string{"--help"}, 0, "  disks "},
		{"an unknown flag", "", []string{"--pool=default"}, 2, "unknown flag: --pool"},
		{"a bad flag", "", []string{"--logging-format=xml"}, 2, "neither text nor json"},
		{"an argument", "", []string{"pools"}, 2, `unexpected argument "pools"`},
		{"a missing configuration", "", []string{"--config=/missing.yaml"}, 1, "/missing.yaml"},
		{"a misspelt configuration", "polls: []", nil, 1, `unknown field \"polls\"`},
		{"no pool", "pools: []", nil, 1, "no pool for node node-1"},
		{"a bad address", "", []string{"--http-address=nowhere"}, 1, "nowhere"},
		{"no directory to register in", "", []string{"--registration-dir=/missing"}, 1, "/missing/csi.hostdir.io-reg.sock"},
		{"kubelet's directory is too long", "", []string{"--kubelet-dir=/" + strings.Repeat("k", 66)}, 2, "too long by 1 bytes"},
		{"kubelet's directory is relative", "", []string{"--kubelet-dir=kubelet"}, 1, "kubelet's directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := layOut(t)
			if test.config != "" {
				p.Configure(t, test.config)
			}
			cmd := command(t, p, test.flags...)
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != test.code {
				t.Errorf("exit code %d, want %d: %v", got, test.code, err)
			}
			if !strings.Contains(string(out), test.says) {
				t.Errorf("the output does not say %q:\n%s", test.says, out)
			}
			for _, path := range p.Sockets() {
				if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s stays after the end: %v", path, err)
				}
			}
		})
	}
}

// TestTwoPrograms starts a program beside another one, as an upgrade or a forced
// deletion of the pod does. The second waits, and goes on once the first has ended.
func TestTwoPrograms(t *testing.T) {
	p := layOut(t)
	p.Run(t)
	first := p.PID()
	createVolume(t, p, "a")
	cmd := command(t, p)
	logged, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logged.Close()
	cmd.Stdout, cmd.Stderr = logged, logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(want string) bool {
		log, err := os.ReadFile(logged.Name())
		return err == nil && strings.Contains(string(log), want)
	}
	await := func(what string, within time.Duration, happened func() bool) {
		t.Helper()
		for deadline := time.Now().Add(within); !happened(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	await("the second program does not say that it waits, or for whom", 10*time.Second, func() bool {
		return says("another process serves this driver on this node") && says(fmt.Sprintf("pid=\"%d\"", first))
	})
	createVolume(t, p, "b") // by the first
	if says("disk ready") {
		t.Error("the second program uses the disk of the first")
	}
	p.Signal(t, syscall.SIGTERM)
	await("the second program does not go on", 5*time.Second, func() bool {
		out, _, code := ask(t, p, "volumes")
		return code == 0 && strings.Contains(out, "shop/a ") && strings.Contains(out, "shop/b ")
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the second program did not stop cleanly: %v", err)
	}
}

func TestLogsJSON(t *testing.T) {
	p := layOut(t)
	cmd := command(t, p, "--logging-format=json", "--v=4")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Lstat(p.Sockets()[1])
		if disks, _, _ := ask(t, p, "disks"); err == nil && strings.Contains(disks, " ready ") {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the program does not announce itself, or its disk")
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	var messages []string
	for lines := bufio.NewScanner(&log); lines.Scan(); {
		var line struct{ Time, Level, Msg string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Time == "" || line.Level == "" || line.Msg == "" {
			t.Errorf("no log line in JSON (%v): %s", err, lines.Bytes())
		}
		messages = append(messages, line.Msg)
	}
	for _, want := range []string{"hostdir starts", "disk ready", "hostdir stopped"} {
		if !strings.Contains(strings.Join(messages, "\n"), want) {
			t.Errorf("the log %q does not tell %q", messages, want)
		}
	}
}
