package mounter

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// failing is a mount.Interface that cannot mount.
type failing struct {
	*mount.FakeMounter
	err error
}

func (f failing) Mount(_, _, _ string, _ []string) error { return f.err }

func TestPublishRollsBack(t *testing.T) {
	n := newNode(t)
	n.mounts = failing{mount.NewFakeMounter(nil), unix.EPERM}
	data := n.volume(t, "pvc-1")

	wantClass(t, n.Publish(data, PublishOptions{TargetPath: n.target("new")}), unix.EPERM)
	if exists(n.target("new")) {
		t.Error("the directory that was made for the mount stays")
	}
	mkdirAll(t, n.target("there-before"))
	wantClass(t, n.Publish(data, PublishOptions{TargetPath: n.target("there-before")}), unix.EPERM)
	if !exists(n.target("there-before")) {
		t.Error("a directory that this call did not make is gone")
	}
}

func TestPublishAsksForSafeOptions(t *testing.T) {
	n := newNode(t)
	fake := mount.NewFakeMounter(nil)
	n.mounts = fake
	n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: n.target("mount"), Options: []string{"noexec"}})
	if len(fake.MountPoints) != 1 {
		t.Fatalf("mounts %+v, want one", fake.MountPoints)
	}
	for _, option := range []string{"nosuid", "nodev", "noexec"} {
		if !slices.Contains(fake.MountPoints[0].Opts, option) {
			t.Errorf("options %q, want %s among them", fake.MountPoints[0].Opts, option)
		}
	}
}

func TestPublishWithoutParent(t *testing.T) {
	n := newNode(t)
	target := n.target("no-such-directory/mount")
	if err := n.Publish(n.volume(t, "pvc-1"), PublishOptions{TargetPath: target}); err == nil {
		t.Error("a target without a parent directory is no error")
	}
	if exists(n.target("no-such-directory")) {
		t.Error("the parent directory, which is kubelet's, was made")
	}
}
