package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
)

// ask runs a command beside the plugin.
func ask(t *testing.T, p *plugin.Plugin, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(plugin.Context(t), plugin.Build(t), append(args, "--endpoint=unix://"+p.Socket)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// createVolume makes a volume as csi-provisioner does.
func createVolume(t *testing.T, p *plugin.Plugin, claim string) *csi.Volume {
	t.Helper()
	resp, err := csi.NewControllerClient(p.Conn).CreateVolume(plugin.Context(t), &csi.CreateVolumeRequest{
		Name:          "pvc-" + claim,
		CapacityRange: &csi.CapacityRange{RequiredBytes: 1 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{{
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		}},
		Parameters: map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": claim},
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume()
}

func TestCommands(t *testing.T) {
	p := layOut(t)
	foreign := t.TempDir()
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", p.Base, foreign))
	p.Run(t)
	v := createVolume(t, p, "a")

	out, errs, code := ask(t, p, "pools")
	if code != 0 || !strings.HasPrefix(out, "POOL ") || !strings.Contains(out, p.Base) || errs != "" {
		t.Errorf("hostdir pools ends with %d:\n%s%s", code, out, errs)
	}
	out, errs, code = ask(t, p, "volumes")
	if code != 0 || !strings.HasPrefix(out, "CLAIM ") || !strings.Contains(out, "shop/a ") || !strings.Contains(out, "pvc-a") || errs != "" {
		t.Errorf("hostdir volumes ends with %d:\n%s%s", code, out, errs)
	}
	out, _, code = ask(t, p, "volumes", "-o", "json")
	var volumes admin.Volumes
	if err := json.Unmarshal([]byte(out), &volumes); err != nil || code != 0 || len(volumes.Volumes) != 1 || volumes.Volumes[0].ID != v.GetVolumeId() {
		t.Errorf("hostdir volumes -o json ends with %d (%v):\n%s", code, err, out)
	}

	// A disk that is gone fails the commands, and all else is shown.
	p.Expect("BaseUnusable")
	if err := os.Rename(foreign, foreign+".away"); err != nil {
		t.Fatal(err)
	}
	out, errs, code = ask(t, p, "pools", "--output=json")
	var pools admin.Pools
	if err := json.Unmarshal([]byte(out), &pools); err != nil || code != 1 || len(pools.BaseDirectories) != 2 || !strings.Contains(errs, foreign) {
		t.Errorf("hostdir pools -o json ends with %d (%v):\n%s%s", code, err, out, errs)
	}
	out, errs, code = ask(t, p, "volumes")
	if code != 1 || !strings.Contains(out, "shop/a") || !strings.Contains(errs, foreign) {
		t.Errorf("hostdir volumes ends with %d:\n%s%s", code, out, errs)
	}
}

func TestCommandFails(t *testing.T) {
	p := layOut(t) // nothing runs there
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nobody answers", []string{"pools"}, 1, "does not answer"},
		{"nobody answers", []string{"volumes"}, 1, "does not answer"},
		{"help", []string{"volumes", "--help"}, 0, "--output"},
		{"a strange format", []string{"pools", "-o", "yaml"}, 2, "neither table nor json"},
		{"an argument", []string{"pools", "default"}, 2, `unexpected argument "default"`},
		{"an unknown flag", []string{"pools", "--node-name=n"}, 2, "unknown flag"},
		{"an unknown command", []string{"pool", "--node-name=n"}, 2, `unexpected argument "pool"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, errs, code := ask(t, p, test.args...)
			if code != test.code || !strings.Contains(errs, test.says) || out != "" {
				t.Errorf("ends with %d, want %d and %q:\n%s%s", code, test.code, test.says, out, errs)
			}
		})
	}
}
