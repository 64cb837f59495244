package inputs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/plugin"
)

func TestTargetPathsRefused(t *testing.T) {
	s := start(t)
	id := s.create(t, "pvc-1")
	pod := filepath.Join(s.KubeletDir, "pod")
	mkdir(t, pod, s.KubeletDir+"-evil", filepath.Join(s.outside, "mount"))
	symlink(t, filepath.Join(s.outside, "mount"), filepath.Join(pod, "link-out"))
	symlink(t, pod, filepath.Join(pod, "link-in"))
	symlink(t, filepath.Join(pod, "missing"), filepath.Join(pod, "link-nowhere"))
	symlink(t, s.outside, filepath.Join(s.KubeletDir, "parent-out"))
	symlink(t, pod, filepath.Join(s.KubeletDir, "parent-in"))
	if err := os.WriteFile(filepath.Join(pod, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.root)

	const below, link = "is not a plain path below", "symbolic link"
	for _, test := range []struct{ name, target, says string }{
		{"no path", "", "needs a volume ID and a target path"},
		{"relative", "target", below},
		{"the root", "/", below},
		{"outside of kubelet's directory", filepath.Join(s.outside, "mount"), below},
		{"beside kubelet's directory, same beginning", s.KubeletDir + "-evil/mount", below},
		{"kubelet's directory itself", s.KubeletDir, below},
		{"kubelet's directory and a slash", s.KubeletDir + "/", below},
		{"out by two dots", s.KubeletDir + "/../outside/mount", below},
		{"two dots that stay inside", s.KubeletDir + "/pod/../mount", below},
		{"two dots at the end", s.KubeletDir + "/..", below},
		{"a slash at the end", pod + "/mount/", below},
		{"a doubled slash", s.KubeletDir + "//mount", below},
		{"a symbolic link out", filepath.Join(pod, "link-out"), link},
		{"a symbolic link inside", filepath.Join(pod, "link-in"), link},
		{"a symbolic link to nothing", filepath.Join(pod, "link-nowhere"), link},
		{"a parent that is a link out", filepath.Join(s.KubeletDir, "parent-out", "mount"), link},
		{"a parent that is a link inside", filepath.Join(s.KubeletDir, "parent-in", "mount"), link},
		{"a file", filepath.Join(pod, "file"), "is not a directory"},
		{"below a file", filepath.Join(pod, "file", "mount"), "is not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantCode(t, s.publish(id, test.target), codes.InvalidArgument, test.says)
			wantSame(t, s.root, before)
			wantCode(t, s.unpublish(id, test.target), codes.InvalidArgument, test.says)
			wantSame(t, s.root, before)
		})
	}
}

func TestPublishRefusesFlags(t *testing.T) {
	s := start(t)
	id := s.create(t, "pvc-1")
	before := snapshot(t, s.root)
	for _, test := range []struct {
		name  string
		flags []string
	}{
		{"suid", []string{"suid"}},
		{"dev", []string{"dev"}},
		{"an allowed one and suid", []string{"ro", "suid"}},
		{"two in one", []string{"ro,suid"}},
		{"bind", []string{"bind"}},
		{"remount", []string{"remount"}},
		{"an option with a path", []string{"upperdir=/etc"}},
		{"noatime and relatime", []string{"noatime", "relatime"}},
		{"an empty one", []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := plugin.GoodPublish(id, filepath.Join(s.KubeletDir, "target"))
			req.VolumeCapability = plugin.Capability(plugin.SingleWriter, test.flags...)
			_, err := s.NodePublishVolume(s.ctx, req)
			wantCode(t, err, codes.InvalidArgument, test.flags[0])
			wantSame(t, s.root, before)
		})
	}
}

func TestPublishRefusesCapabilities(t *testing.T) {
	s := start(t)
	id := s.create(t, "pvc-1")
	before := snapshot(t, s.root)
	for _, test := range []struct {
		name       string
		capability *csi.VolumeCapability
	}{
		{"none", nil},
		{"block volume", block()},
		{"many writers on many nodes", plugin.Capability(csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER)},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := plugin.GoodPublish(id, filepath.Join(s.KubeletDir, "target"))
			req.VolumeCapability = test.capability
			_, err := s.NodePublishVolume(s.ctx, req)
			wantCode(t, err, codes.InvalidArgument, "")
			wantSame(t, s.root, before)
		})
	}
}

func TestTargetHoldsFiles(t *testing.T) {
	s := start(t)
	id := s.create(t, "pvc-1")
	target := filepath.Join(s.KubeletDir, "target")
	mkdir(t, target)
	if err := os.WriteFile(filepath.Join(target, "left-over"), []byte("written while nothing was mounted"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.KubeletDir)

	wantCode(t, s.publish(id, target), codes.OK, "")
	if _, err := os.Stat(filepath.Join(target, "left-over")); !os.IsNotExist(err) {
		t.Errorf("the volume is not mounted over the target's files: %v", err)
	}
	wantCode(t, s.unpublish(id, target), codes.Internal, "its files are left alone")
	wantSame(t, s.KubeletDir, before)
	wantCode(t, s.unpublish(id, target), codes.Internal, "its files are left alone")
	wantSame(t, s.KubeletDir, before)

	if err := os.Remove(filepath.Join(target, "left-over")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.unpublish(id, target), codes.OK, "")
	if _, err := os.Lstat(target); !os.IsNotExist(err) {
		t.Errorf("unpublish leaves the target: %v", err)
	}
}

func mkdir(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
