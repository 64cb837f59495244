package mounter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

func TestUnpublishWhatIsNotThere(t *testing.T) {
	n := newNode(t)
	n.mustUnpublish(t, n.target("never-was"))
	n.mustUnpublish(t, filepath.Join(n.kubelet, "no-pod", "mount"))
	mkdirAll(t, n.target("empty"))
	n.mustUnpublish(t, n.target("empty"))
	if exists(n.target("empty")) {
		t.Error("an empty target stays")
	}
}

func TestUnpublishWhileInUse(t *testing.T) {
	n := newNode(t)
	target := n.target("mount")
	n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
	process := open(t, filepath.Join(target, "of-pvc-1"))
	wantClass(t, n.Unpublish(target, nil), errdefs.ErrBusy)
	n.wantMounts(t, 1)
	process.Close()
	n.mustUnpublish(t, target)
}

// TestUnpublishWhileLookedAt has somebody in the way who is gone in a moment.
func TestUnpublishWhileLookedAt(t *testing.T) {
	n := newNode(t)
	target := n.target("mount")
	n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
	process := open(t, filepath.Join(target, "of-pvc-1"))
	time.AfterFunc(busyPatience/5, func() { process.Close() })
	n.mustUnpublish(t, target)
	n.wantMounts(t, 0)
}

func TestUnpublishStackedMounts(t *testing.T) {
	n := newNode(t)
	target := n.target("mount")
	n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
	if err := unix.Mount(filepath.Join(n.volumes, "pvc-1"), target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	n.wantMounts(t, 2)
	n.mustUnpublish(t, target)
	n.wantMounts(t, 0)
	if exists(target) {
		t.Error("unpublish leaves the target's directory")
	}
}

func TestUnpublishLeavesFiles(t *testing.T) {
	n := newNode(t)
	target := n.target("mount")
	mkdirAll(t, target)
	writeFile(t, filepath.Join(target, "precious"), "nobody knows whose")
	n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
	for range 2 {
		err := n.Unpublish(target, nil)
		if err == nil || !strings.Contains(err.Error(), "its files are left alone") {
			t.Errorf("error %v, want one that says that files are left alone", err)
		}
		n.wantMounts(t, 0)
		if !exists(filepath.Join(target, "precious")) {
			t.Error("the file below the mount is gone")
		}
	}
}

func TestCheckPublished(t *testing.T) {
	n := newNode(t)
	data, other := n.volume(t, "pvc-1"), n.volume(t, "pvc-2")
	n.mustPublish(t, data, PublishOptions{TargetPath: n.target("mount")})
	mkdirAll(t, n.target("empty"))
	for _, test := range []struct {
		name, target string
		data         *os.File
		want         error
	}{
		{"where it is", n.target("mount"), data, nil},
		{"where another volume is", n.target("mount"), other, errdefs.ErrNotFound},
		{"where nothing is mounted", n.target("empty"), data, errdefs.ErrNotFound},
		{"where nothing is", n.target("missing"), data, errdefs.ErrNotFound},
		{"where no pod is", filepath.Join(n.kubelet, "no-pod", "mount"), data, errdefs.ErrNotFound},
		{"outside of kubelet's directory", filepath.Join(n.volumes, "pvc-1"), data, errdefs.ErrNotFound},
		{"by a relative path", "mount", data, errdefs.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantClass(t, n.CheckPublished(test.data, test.target), test.want)
		})
	}
}
