package mounter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/disk"
)

func TestCheckUnused(t *testing.T) {
	n := newNode(t)
	data, target := n.volume(t, "pvc-1"), n.target("mount")
	// Names that begin like the volume's are others.
	n.mustPublish(t, n.volume(t, "pvc-10"), PublishOptions{TargetPath: n.target("other")})
	if err := n.CheckUnused(data); err != nil {
		t.Error(err)
	}
	n.mustPublish(t, data, PublishOptions{TargetPath: target})
	err := n.CheckUnused(data)
	wantClass(t, err, errdefs.ErrInUse)
	if err != nil && (!strings.Contains(err.Error(), target) || strings.Contains(err.Error(), n.target("other"))) {
		t.Errorf("the error does not say where: %v", err)
	}
	n.mustUnpublish(t, target)
	if err := n.CheckUnused(data); err != nil {
		t.Error(err)
	}
}

// TestCheckUnusedSeesSubPaths mounts directories and files of a volume, as
// kubelet does for a container's subPath, after the volume's own mount is gone.
func TestCheckUnusedSeesSubPaths(t *testing.T) {
	n := newNode(t)
	data := n.volume(t, "pvc-1")
	inside := filepath.Join(n.volumes, "pvc-1")
	mkdirAll(t, filepath.Join(inside, "deep", "directory"))
	mkdirAll(t, n.target("directory"))
	writeFile(t, n.target("file"), "")
	for subPath, target := range map[string]string{"deep/directory": n.target("directory"), "of-pvc-1": n.target("file")} {
		if err := unix.Mount(filepath.Join(inside, subPath), target, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		wantClass(t, n.CheckUnused(data), errdefs.ErrInUse)
		if err := unix.Unmount(target, 0); err != nil {
			t.Fatal(err)
		}
		if err := n.CheckUnused(data); err != nil {
			t.Errorf("%s: %v", subPath, err)
		}
	}
}

func TestExclusive(t *testing.T) {
	n := newNode(t)
	data := n.volume(t, "pvc-1")
	first := PublishOptions{TargetPath: n.target("first"), Exclusive: true}
	second := PublishOptions{TargetPath: n.target("second"), Exclusive: true}
	n.mustPublish(t, data, first)
	n.mustPublish(t, data, first)
	wantClass(t, n.Publish(data, second), errdefs.ErrInUse)
	if exists(second.TargetPath) {
		t.Error("a refused publication leaves its target's directory")
	}
	n.mustUnpublish(t, first.TargetPath)
	n.mustPublish(t, data, second)
	// Those who share the volume do not ask.
	n.mustPublish(t, data, PublishOptions{TargetPath: n.target("third")})
	n.wantMounts(t, 2)
}

// TestCheckUnusedFindsPool looks from where the mount table and the path to the
// volume differ.
func TestCheckUnusedFindsPool(t *testing.T) {
	for _, test := range []struct {
		name string
		// pool lays out the directory of the volumes and returns the path to it.
		pool func(t *testing.T, n *node) string
	}{
		{"on a disk of its own", func(t *testing.T, n *node) string { return disk.Mount(t, "ext4", 8<<20) }},
		{"on btrfs", func(t *testing.T, n *node) string { return disk.Mount(t, "btrfs", 128<<20) }},
		{"through a symbolic link", func(t *testing.T, n *node) string {
			link := n.volumes + "-link"
			if err := os.Symlink(n.volumes, link); err != nil {
				t.Fatal(err)
			}
			return link
		}},
		{"through a bind mount", func(t *testing.T, n *node) string {
			bound := n.volumes + "-bound"
			mkdirAll(t, bound)
			if err := unix.Mount(n.volumes, bound, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			return bound
		}},
		{"with odd characters", func(t *testing.T, n *node) string {
			odd := filepath.Join(n.volumes, "a space, a\ttab, a \\ and a\nnew line")
			mkdirAll(t, odd)
			return odd
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNode(t)
			n.volumes = test.pool(t, n)
			data, target := n.volume(t, "pvc-1"), n.target("mount")
			if err := n.CheckUnused(data); err != nil {
				t.Error(err)
			}
			n.mustPublish(t, data, PublishOptions{TargetPath: target})
			wantClass(t, n.CheckUnused(data), errdefs.ErrInUse)
			n.mustUnpublish(t, target)
			if err := n.CheckUnused(data); err != nil {
				t.Error(err)
			}
		})
	}
}
