package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/store"
	"github.com/hostdir/hostdir/tests/plugin"
)

// kinds runs a check for programs and returns what it finds, by path.
func kinds(t *testing.T, p *plugin.Plugin, flags ...string) map[string]store.Kind {
	t.Helper()
	out, errs, code := ask(t, p, append([]string{"check", "-o", "json"}, flags...)...)
	var found admin.Check
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("hostdir check -o json ends with %d: %v\n%s%s", code, err, out, errs)
	}
	byPath := map[string]store.Kind{}
	for _, f := range found.Findings {
		byPath[f.Path] = store.Kind(f.Kind)
	}
	if want := min(len(byPath), 1); code != want {
		t.Errorf("hostdir check ends with %d, want %d: %+v", code, want, found)
	}
	return byPath
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := layOut(t)
	p.Run(t)
	createVolume(t, p, "a")
	out, errs, code := ask(t, p, "check")
	if code != 0 || out != "all is well: 1 volume on 1 disk\n" || errs != "" {
		t.Errorf("a check of a sound pool ends with %d:\n%s%s", code, out, errs)
	}

	volume := filepath.Join(p.Base, "volumes", "pvc-a")
	photo, halfBuilt, link := filepath.Join(p.Base, "photo"), filepath.Join(p.Base, "volumes", ".new-pvc-b"), filepath.Join(p.Base, "claims", "shop", "a")
	for _, err := range []error{
		os.WriteFile(photo, nil, 0o600),
		os.Mkdir(halfBuilt, 0o700),
		os.Remove(link),
		os.Chmod(volume, 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code = ask(t, p, "check")
	for _, want := range []string{
		"ForeignFile: " + photo + "\n    It is not hostdir's",
		"HalfBuilt: " + halfBuilt,
		"WrongLink: " + link + " (made for shop/a)",
		"WrongMode: " + volume + " (made for shop/a)\n    It has mode 0755",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer does not say %q", want)
		}
	}
	if code != 1 || !strings.Contains(errs, "findings: 4, of which --repair fixes 3") {
		t.Errorf("the check ends with %d:\n%s%s", code, out, errs)
	}

	// Nobody says yes.
	out, errs, code = ask(t, p, "check", "--repair")
	if code != 1 || out != "" || !strings.Contains(errs, "WrongMode: "+volume) || strings.Contains(errs, photo) || !strings.Contains(errs, "not confirmed") {
		t.Errorf("the repair that nobody confirms ends with %d:\n%s%s", code, out, errs)
	}
	if found := kinds(t, p); len(found) != 4 {
		t.Errorf("the repair that nobody confirmed has left %v", found)
	}

	out, errs, code = ask(t, p, "check", "--repair", "--yes")
	if code != 1 || strings.Count(out, "repaired: ") != 3 || !strings.Contains(out, "ForeignFile: "+photo) || !strings.Contains(errs, "findings: 1") {
		t.Errorf("the repair ends with %d:\n%s%s", code, out, errs)
	}
	if found := kinds(t, p, "--repair"); len(found) != 1 || found[photo] != store.ForeignFile {
		t.Errorf("the repair has left %v", found) // and had nothing to ask
	}
	if err := os.Remove(photo); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(halfBuilt); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-built volume is there: %v", err)
	}
}

// TestCheckMounts publishes a volume, and mounts by hand what hostdir would not.
func TestCheckMounts(t *testing.T) {
	p := layOut(t)
	target := filepath.Join(p.KubeletDir, "target")
	byHand, orphan, deep := filepath.Join(p.KubeletDir, "by-hand"), filepath.Join(p.KubeletDir, "orphan"), filepath.Join(p.Base, "volumes/pvc-a/data/deep")
	t.Cleanup(func() {
		for _, at := range []string{target, byHand, orphan, deep} {
			unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	})
	p.Run(t)
	a, b := createVolume(t, p, "a"), createVolume(t, p, "b")
	_, err := csi.NewNodeClient(p.Conn).NodePublishVolume(plugin.Context(t), &csi.NodePublishVolumeRequest{
		VolumeId: a.GetVolumeId(), TargetPath: target,
		VolumeCapability: &csi.VolumeCapability{
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := kinds(t, p); len(found) > 0 {
		t.Errorf("a published volume: %v", found)
	}
	for _, dir := range []string{byHand, orphan, deep} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(from, to string) {
		t.Helper()
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	bind(filepath.Join(p.Base, "volumes/pvc-a/data"), byHand)
	bind(t.TempDir(), deep)
	bind(filepath.Join(p.Base, "volumes/pvc-b/data"), orphan)
	// Somebody removes a volume by hand that is mounted.
	if err := os.RemoveAll(filepath.Join(p.Base, "volumes/pvc-b")); err != nil {
		t.Fatal(err)
	}
	found := kinds(t, p)
	for path, kind := range map[string]store.Kind{
		byHand:                                 store.UnsafeMount,
		deep:                                   store.MountInside,
		orphan:                                 store.OrphanMount,
		filepath.Join(p.Base, "volumes/pvc-b"): store.MissingVolume,
	} {
		if found[path] != kind {
			t.Errorf("%s: %q, want %s", path, found[path], kind)
		}
	}
	if len(found) != 4 {
		t.Errorf("findings: %v", found)
	}
	for _, at := range []string{byHand, orphan, deep, target} {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}
	if found := kinds(t, p, "--repair", "--yes"); len(found) > 0 {
		t.Errorf("after the repair: %v", found)
	}
	if _, err := csi.NewControllerClient(p.Conn).DeleteVolume(plugin.Context(t), &csi.DeleteVolumeRequest{VolumeId: b.GetVolumeId()}); err != nil {
		t.Error(err)
	}
}
