package mounter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
)

const tail = "/pods/6a1f7c1e-8d4e-4c55-9d3c-1d2c6d3c7d01/volumes/kubernetes.io~csi/pvc-1/mount"

// moved is a Mounter for another root directory of kubelet's.
func (n *node) moved(t *testing.T, kubeletDir string) *Mounter {
	t.Helper()
	m, err := New(kubeletDir, n.mounts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func isPVC1(root string) bool { return strings.HasSuffix(root, "/volumes/pvc-1") }

func wantSays(t *testing.T, err error, says ...string) {
	t.Helper()
	for _, s := range says {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("error %v, want one that says %q", err, s)
		}
	}
}

// TestKubeletDirIsALink has kubelet's root directory be a symbolic link that
// kubelet itself goes through.
func TestKubeletDirIsALink(t *testing.T) {
	n := newNode(t)
	link := n.kubelet + "-link"
	if err := os.Symlink(n.kubelet, link); err != nil {
		t.Fatal(err)
	}
	m, target, data := n.moved(t, link), link+tail, n.volume(t, "pvc-1")
	mkdirAll(t, filepath.Dir(target))
	for range 2 {
		if err := m.Publish(data, PublishOptions{TargetPath: target}); err != nil {
			t.Fatal(err)
		}
		n.wantMounts(t, 1)
		if err := m.CheckPublished(data, target); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := m.Unpublish(target, isPVC1); err != nil {
			t.Error(err)
		}
		n.wantMounts(t, 0)
	}
	if exists(target) {
		t.Error("the target stays")
	}
}

func TestPublishBelowAnotherRoot(t *testing.T) {
	n := newNode(t)
	data, other := n.volume(t, "pvc-1"), filepath.Join(filepath.Dir(n.kubelet), "other")
	mkdirAll(t, filepath.Dir(other+tail))
	err := n.Publish(data, PublishOptions{TargetPath: other + tail})
	wantClass(t, err, errdefs.ErrInvalid)
	wantSays(t, err, "kubelet's root directory is "+other, "kubeletDir")
	err = n.Publish(data, PublishOptions{TargetPath: filepath.Join(other, "somewhere")})
	wantClass(t, err, errdefs.ErrInvalid)
	wantSays(t, err, "--kubelet-dir", "kubeletDir")
	wantClass(t, n.CheckPublished(data, other+tail), errdefs.ErrNotFound)
	if len(mountsBelow(t, other)) > 0 || exists(other+tail) {
		t.Error("a refused publish leaves something")
	}
}

// TestUnpublishBelowAnotherRoot has volumes from before hostdir was told another
// root directory of kubelet's.
func TestUnpublishBelowAnotherRoot(t *testing.T) {
	for _, test := range []struct {
		name string
		// asks returns the path that kubelet asks for, and the directory that hostdir
		// is told now. The volume is published below n.kubelet.
		asks func(t *testing.T, n *node) (kubelet, now string)
	}{
		{"the old path", func(t *testing.T, n *node) (string, string) { return n.kubelet, n.kubelet + "-new" }},
		{"the path of a link", func(t *testing.T, n *node) (string, string) {
			link := n.kubelet + "-link"
			if err := os.Symlink(n.kubelet, link); err != nil {
				t.Fatal(err)
			}
			return link, n.kubelet + "-new"
		}},
		{"a link that the container does not have", func(t *testing.T, n *node) (string, string) { return "/not/in/the/container", n.kubelet }},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNode(t)
			data := n.volume(t, "pvc-1")
			published := n.kubelet + tail
			mkdirAll(t, filepath.Dir(published))
			n.mustPublish(t, data, PublishOptions{TargetPath: published})
			kubelet, now := test.asks(t, n)
			mkdirAll(t, now)
			m := n.moved(t, now)

			if err := m.Unpublish(kubelet+tail, func(string) bool { return false }); err == nil {
				t.Error("another volume is unpublished")
			} else {
				wantSays(t, err, "something is mounted that is not the volume", "kubeletDir")
			}
			other := strings.Replace(kubelet+tail, "6a1f7c1e", "7b2f7c1e", 1)
			wantSays(t, m.Unpublish(other, isPVC1), "kubeletDir") // it may be where nobody sees it
			n.wantMounts(t, 1)
			for range 2 { // the answer may be lost
				if err := m.Unpublish(kubelet+tail, isPVC1); err != nil {
					t.Error(err)
				}
				n.wantMounts(t, 0)
			}
			if exists(published) {
				t.Error("the target stays")
			}
			if !exists(filepath.Join(n.volumes, "pvc-1", "of-pvc-1")) {
				t.Error("the volume's file is gone")
			}
		})
	}
}

func TestSplitTarget(t *testing.T) {
	for target, root := range map[string]string{
		"/var/lib/kubelet" + tail:       "/var/lib/kubelet",
		"/k" + tail:                     "/k",
		"/a/pods/b" + tail:              "/a/pods/b",
		tail:                            "",
		"/k/.." + tail:                  "",
		"/k/" + tail:                    "",
		"k" + tail:                      "",
		"/k" + tail + "/":               "",
		"/k" + filepath.Dir(tail):       "",
		"/k/pods/u/volumes/x/pvc/mount": "",
	} {
		got, rest, ok := splitTarget(target)
		if got != root || ok != (root != "") || ok && got+rest != target {
			t.Errorf("%s: %q and %q, want %q", target, got, rest, root)
		}
	}
}

// TestShared has kubelet's pods directory be a mount of its own, as in hostdir's
// container.
func TestShared(t *testing.T) {
	for _, test := range []struct {
		name        string
		propagation uintptr
		shared      bool
	}{
		{"Bidirectional", unix.MS_SHARED, true},
		{"HostToContainer", unix.MS_SLAVE, false},
		{"None", unix.MS_PRIVATE, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNode(t)
			pods := filepath.Join(n.kubelet, "pods")
			mkdirAll(t, pods)
			if err := n.CheckShared(); err != nil {
				t.Errorf("a plain directory: %v", err)
			}
			for _, flags := range []uintptr{unix.MS_BIND, unix.MS_SHARED, test.propagation} {
				if err := unix.Mount(pods, pods, "", flags, ""); err != nil {
					t.Fatal(err)
				}
			}
			before := len(mountsBelow(t, n.kubelet))
			target := n.kubelet + tail
			mkdirAll(t, filepath.Dir(target))
			err := n.Publish(n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
			if test.shared {
				if err != nil {
					t.Fatal(err)
				}
				n.mustUnpublish(t, target)
				return
			}
			wantSays(t, err, pods+" is not a shared mount", "mountPropagation: Bidirectional", "make-rshared")
			if exists(target) || len(mountsBelow(t, n.kubelet)) != before {
				t.Error("a refused publish leaves something")
			}
			// It is looked at again.
			if err := unix.Mount("", pods, "", unix.MS_SHARED, ""); err != nil {
				t.Fatal(err)
			}
			n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target})
			n.mustUnpublish(t, target)
		})
	}
}
