package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/plugin"
)

// TestMain runs the launcher in place of the tests where it is called as that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && profiles[os.Args[1]] != nil {
		main()
	}
	os.Exit(m.Run())
}

// on is the command that runs programs under a profile.
func on(t *testing.T, profile string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, profile}
}

// What the program says at its start of what it lacks.
const (
	walks      = "openat2(2) is not available here"
	mountsOld  = "open_tree(2) is not available here"
	mountsLate = "mount_setattr(2) is not available here"
)

// TestLifecycle leads a volume through its life under each profile.
func TestLifecycle(t *testing.T) {
	for _, test := range []struct {
		profile string
		says    []string
	}{
		{"4.18", []string{walks, mountsOld}},
		{"5.10", []string{mountsLate}},
		{"forbidding", []string{walks, mountsOld}},
	} {
		t.Run(test.profile, func(t *testing.T) {
			p := plugin.Layout(t, "")
			p.Through = on(t, test.profile)
			t.Cleanup(func() { unmountBelow(filepath.Dir(p.KubeletDir)) })
			leaveBehind(t, p)
			p.Run(t)
			liveThrough(t, p)
			p.Signal(t, os.Interrupt)
			for _, lacking := range []string{walks, mountsOld, mountsLate} {
				said := false
				for _, want := range test.says {
					said = said || lacking == want
				}
				if strings.Count(p.Log(), lacking) > 1 || strings.Contains(p.Log(), lacking) != said {
					t.Errorf("the log does not say once, or says in vain, %q:\n%s", lacking, p.Log())
				}
			}
		})
	}
}

// leaveBehind does what a crash in the middle of a publication does.
func leaveBehind(t *testing.T, p *plugin.Plugin) {
	t.Helper()
	aside := filepath.Join(filepath.Dir(p.Socket), "mounting")
	if err := os.MkdirAll(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(p.Base, aside, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

func liveThrough(t *testing.T, p *plugin.Plugin) {
	t.Helper()
	ctx := plugin.Context(t)
	controller, node := csi.NewControllerClient(p.Conn), csi.NewNodeClient(p.Conn)
	id := create(t, p, "pvc-1")
	targets := map[string]bool{filepath.Join(p.KubeletDir, "writer"): false, filepath.Join(p.KubeletDir, "reader"): true}
	for range 2 { // a retry finds what is there
		for target, readOnly := range targets {
			_, err := node.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
				VolumeId: id, TargetPath: target, VolumeCapability: writer, Readonly: readOnly,
			})
			if err != nil {
				t.Fatal(err)
			}
			err = os.WriteFile(filepath.Join(target, "file"), []byte("written by a pod"), 0o644)
			if readOnly != errors.Is(err, unix.EROFS) {
				t.Errorf("%s: a write ends with %v", target, err)
			}
			wantOptions(t, target, readOnly)
		}
	}
	for target := range targets {
		stats, err := node.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
		if err != nil || len(stats.GetUsage()) == 0 {
			t.Errorf("stats %v, %v", stats, err)
		}
	}
	if _, err := controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id}); err == nil {
		t.Error("a published volume is deleted")
	}
	for target := range targets {
		if _, err := node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target}); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s stays: %v", target, err)
		}
	}
	if content, err := os.ReadFile(filepath.Join(p.Base, "volumes", "pvc-1", "data", "file")); string(content) != "written by a pod" {
		t.Errorf("the volume holds %q, %v", content, err)
	}
	if _, err := controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id}); err != nil {
		t.Error(err)
	}
	plugin.WaitTrash(t, p.Base, 0, 30*time.Second)
	if _, err := os.Lstat(filepath.Join(filepath.Dir(p.Socket), "mounting")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left where mounts are prepared: %v", err)
	}
}

// wantOptions checks a mount's options, and that it is the only one there.
func wantOptions(t *testing.T, target string, readOnly bool) {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(target))
	if err != nil {
		t.Fatal(err)
	}
	want := "rw,nosuid,nodev"
	if readOnly {
		want = "ro,nosuid,nodev"
	}
	if len(mounts) != 1 || !strings.HasPrefix(mounts[0].Options, want) {
		t.Errorf("%s is mounted %d times, want once with %s", target, len(mounts), want)
	}
}

var writer = &csi.VolumeCapability{
	AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
	AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
}

func create(t *testing.T, p *plugin.Plugin, name string) (volumeID string) {
	t.Helper()
	resp, err := tryCreate(plugin.Context(t), p, name)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume().GetVolumeId()
}

func tryCreate(ctx context.Context, p *plugin.Plugin, name string) (*csi.CreateVolumeResponse, error) {
	return csi.NewControllerClient(p.Conn).CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: 1 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{writer},
	})
}

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
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// unmountBelow takes away what a test that failed has left.
func unmountBelow(dir string) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return
	}
	for _, m := range mounts {
		unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}
