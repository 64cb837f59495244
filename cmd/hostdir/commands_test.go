package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/tests/plugin"
)

// ask runs a command beside the plugin, with nobody to answer it.
func ask(t *testing.T, p *plugin.Plugin, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return askAndSay(t, p, "", args...)
}

// askAndSay is ask with somebody who says something.
func askAndSay(t *testing.T, p *plugin.Plugin, say string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(plugin.Context(t), plugin.Build(t), append(args, "--endpoint=unix://"+p.Socket)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(say), &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// createVolume makes a volume as csi-provisioner does.
func createVolume(t *testing.T, p *plugin.Plugin, claim string) *csi.Volume {
	t.Helper()
	v, err := tryCreate(t, p, claim)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tryCreate(t *testing.T, p *plugin.Plugin, claim string) (*csi.Volume, error) {
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
	return resp.GetVolume(), err
}

func TestCommands(t *testing.T) {
	t.Parallel()
	p := layOut(t)
	foreign := t.TempDir()
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q, %q]}]", p.Base, foreign))
	p.Run(t)
	v := createVolume(t, p, "a")

	out, errs, code := ask(t, p, "disks")
	if code != 0 || !strings.HasPrefix(out, "POOL ") || !strings.Contains(out, p.Base) || errs != "" {
		t.Errorf("hostdir disks ends with %d:\n%s%s", code, out, errs)
	}
	out, errs, code = ask(t, p, "volumes")
	if code != 0 || !strings.HasPrefix(out, "MADE-FOR ") || !strings.Contains(out, "shop/a ") || !strings.Contains(out, "pvc-a") || errs != "" {
		t.Errorf("hostdir volumes ends with %d:\n%s%s", code, out, errs)
	}
	out, _, code = ask(t, p, "volumes", "-o", "json")
	var volumes admin.Volumes
	if err := json.Unmarshal([]byte(out), &volumes); err != nil || code != 0 || len(volumes.Volumes) != 1 || volumes.Volumes[0].ID != v.GetVolumeId() {
		t.Errorf("hostdir volumes -o json ends with %d (%v):\n%s", code, err, out)
	}
	made, err := csi.NewControllerClient(p.Conn).CreateSnapshot(plugin.Context(t), &csi.CreateSnapshotRequest{
		Name: "snapshot-1", SourceVolumeId: v.GetVolumeId(),
		Parameters: map[string]string{"csi.storage.k8s.io/volumesnapshot/namespace": "shop", "csi.storage.k8s.io/volumesnapshot/name": "nightly"},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, errs, code = ask(t, p, "snapshots")
	if code != 0 || !strings.HasPrefix(out, "SNAPSHOT ") || !strings.Contains(out, "shop/nightly  shop/a ") || errs != "" {
		t.Errorf("hostdir snapshots ends with %d:\n%s%s", code, out, errs)
	}
	out, _, code = ask(t, p, "snapshots", "-o", "json")
	var snapshots admin.Snapshots
	if err := json.Unmarshal([]byte(out), &snapshots); err != nil || code != 0 || len(snapshots.Snapshots) != 1 || snapshots.Snapshots[0].ID != made.GetSnapshot().GetSnapshotId() {
		t.Errorf("hostdir snapshots -o json ends with %d (%v):\n%s", code, err, out)
	}

	// A disk that is gone fails the commands, and all else is shown.
	p.Expect("DiskUnusable")
	if err := os.Rename(foreign, foreign+".away"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // it looks every ten seconds
		if _, _, code = ask(t, p, "disks"); code != 0 {
			break
		}
	}
	out, errs, code = ask(t, p, "disks", "--output=json")
	var disks admin.Disks
	if err := json.Unmarshal([]byte(out), &disks); err != nil || code != 1 || len(disks.Disks) != 2 || !strings.Contains(errs, foreign) {
		t.Errorf("hostdir disks -o json ends with %d (%v):\n%s%s", code, err, out, errs)
	}
	out, errs, code = ask(t, p, "volumes")
	if code != 1 || !strings.Contains(out, "shop/a") || !strings.Contains(errs, foreign) {
		t.Errorf("hostdir volumes ends with %d:\n%s%s", code, out, errs)
	}
	out, errs, code = ask(t, p, "snapshots")
	if code != 1 || !strings.Contains(out, "shop/nightly") || !strings.Contains(errs, foreign) {
		t.Errorf("hostdir snapshots ends with %d:\n%s%s", code, out, errs)
	}
}

// TestUndelete deletes a volume by mistake, brings it back and then means it.
func TestUndelete(t *testing.T) {
	p := layOut(t)
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 24h}]", p.Base))
	p.Run(t)
	v := createVolume(t, p, "a")
	deleteIt := func() {
		t.Helper()
		if _, err := csi.NewControllerClient(p.Conn).DeleteVolume(plugin.Context(t), &csi.DeleteVolumeRequest{VolumeId: v.GetVolumeId()}); err != nil {
			t.Fatal(err)
		}
	}
	deleteIt()
	out, errs, code := ask(t, p, "trash")
	if code != 0 || !strings.Contains(out, "shop/a ") || !strings.Contains(out, "23h") || errs != "" {
		t.Errorf("hostdir trash ends with %d:\n%s%s", code, out, errs)
	}

	out, errs, code = ask(t, p, "undelete", "shop/a", "--storage-class=fast")
	var pv map[string]any
	if err := yaml.UnmarshalStrict([]byte(out), &pv); err != nil || code != 0 || !strings.Contains(errs, "is back at "+p.Base) {
		t.Fatalf("hostdir undelete ends with %d (%v):\n%s%s", code, err, out, errs)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": map[string]any{"name": "pvc-a", "annotations": map[string]any{"pv.kubernetes.io/provisioned-by": "csi.hostdir.io"}},
		"spec": map[string]any{
			"capacity": map[string]any{"storage": "1048576"}, "accessModes": []any{"ReadWriteOnce"},
			"persistentVolumeReclaimPolicy": "Retain", "storageClassName": "fast",
			"csi":      map[string]any{"driver": "csi.hostdir.io", "volumeHandle": v.GetVolumeId()},
			"claimRef": map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "a"},
			"nodeAffinity": map[string]any{"required": map[string]any{"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{
				map[string]any{"key": "csi.hostdir.io/node", "operator": "In", "values": []any{plugin.NodeName}}}}}}},
		},
	}
	if diff := cmp.Diff(want, pv); diff != "" {
		t.Errorf("the PersistentVolume (-want +got):\n%s", diff)
	}
	if out, errs, code = ask(t, p, "undelete", "shop/a"); code != 1 || out != "" || !strings.Contains(errs, "no deleted volume") {
		t.Errorf("a second undelete ends with %d:\n%s%s", code, out, errs)
	}

	deleteIt()
	if out, errs, code = ask(t, p, "purge", "shop/a"); code != 1 || !strings.Contains(out, "for good") || !strings.Contains(errs, "not confirmed") {
		t.Errorf("purge without an answer ends with %d:\n%s%s", code, out, errs)
	}
	if out, errs, code = ask(t, p, "purge", "shop/a", "--yes"); code != 0 {
		t.Errorf("purge ends with %d:\n%s%s", code, out, errs)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left, err := os.ReadDir(filepath.Join(p.Base, "trash"))
		if err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the trash holds %v: %v", left, err)
		}
	}
}

// TestHelp asks for help, which is an answer and no error.
func TestHelp(t *testing.T) {
	p := layOut(t) // nothing runs there
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--help"}, "\n  volumes pv "},
		{[]string{"volumes", "--help"}, "--output"},
		{[]string{"disks", "init", "-h"}, "hostdir disks init [flags] PATH"},
	} {
		out, errs, code := ask(t, p, test.args...)
		if code != 0 || errs != "" || !strings.Contains(out, test.says) {
			t.Errorf("%q ends with %d, want 0 and %q on standard output:\n%s%s", test.args, code, test.says, out, errs)
		}
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
		{"nobody answers", []string{"disks"}, 1, "does not answer"},
		{"nobody answers", []string{"volumes"}, 1, "does not answer"},
		{"nobody answers", []string{"check"}, 1, "does not answer"},
		{"a yes to nothing", []string{"check", "--yes"}, 2, "--repair"},
		{"a strange format", []string{"disks", "-o", "yaml"}, 2, "neither table nor json"},
		{"an argument", []string{"disks", "default"}, 2, `unexpected argument "default"`},
		{"no argument", []string{"undelete"}, 2, "VOLUME is missing"},
		{"an unknown flag", []string{"disks", "--node-name=n"}, 2, "unknown flag"},
		{"an unknown command", []string{"disk", "--node-name=n"}, 2, `unexpected argument "disk"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, errs, code := ask(t, p, test.args...)
			if code != test.code || !strings.Contains(errs, test.says) || out != "" {
				t.Errorf("ends with %d, want %d and %q:\n%s%s", code, test.code, test.says, out, errs)
			}
		})
	}
}
