package mounter

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/pkg/errdefs"
	"github.com/hostdir/hostdir/tests/plugin"
)

// node is a Mounter with real mounts, and where its volumes and targets are.
type node struct {
	*Mounter
	volumes, kubelet string
}

func newNode(t *testing.T) *node {
	t.Helper()
	plugin.RequireRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{volumes: filepath.Join(dir, "volumes"), kubelet: filepath.Join(dir, "kubelet")}
	mkdirAll(t, n.volumes)
	mkdirAll(t, filepath.Join(n.kubelet, "pod"))
	t.Cleanup(func() {
		for _, at := range mountsBelow(t, dir) {
			unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	})
	if n.Mounter, err = New(n.kubelet, NewBind(filepath.Join(dir, "mounting"))); err != nil {
		t.Fatal(err)
	}
	return n
}

// volume makes a data directory with one file, and opens it for the test.
func (n *node) volume(t *testing.T, name string) *os.File {
	t.Helper()
	dir := filepath.Join(n.volumes, name)
	mkdirAll(t, dir)
	writeFile(t, filepath.Join(dir, "of-"+name), "content")
	return open(t, dir)
}

func (n *node) target(name string) string { return filepath.Join(n.kubelet, "pod", name) }

func (n *node) mustPublish(t *testing.T, data *os.File, p PublishOptions) {
	t.Helper()
	if err := n.Publish(data, p); err != nil {
		t.Fatal(err)
	}
}

func (n *node) mustUnpublish(t *testing.T, target string) {
	t.Helper()
	if err := n.Unpublish(target, nil); err != nil {
		t.Fatal(err)
	}
}

// mountsBelow returns what is mounted below a directory.
func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, dir+"/") {
			at = append(at, m.Mountpoint)
		}
	}
	return at
}

func (n *node) wantMounts(t *testing.T, want int) {
	t.Helper()
	if got := mountsBelow(t, n.kubelet); len(got) != want {
		t.Errorf("mounts %q, want %d", got, want)
	}
}

func mkdirAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func wantClass(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("error %v, want %v", err, class)
	}
}

func TestPublish(t *testing.T) {
	n := newNode(t)
	data, target := n.volume(t, "pvc-1"), n.target("mount")
	for range 2 { // a retry finds what is there
		n.mustPublish(t, data, PublishOptions{TargetPath: target})
		n.wantMounts(t, 1)
	}
	if !exists(filepath.Join(target, "of-pvc-1")) {
		t.Error("the volume's file is not seen at the target")
	}
	writeFile(t, filepath.Join(target, "written"), "by the pod")
	for range 2 {
		n.mustUnpublish(t, target)
		n.wantMounts(t, 0)
	}
	if exists(target) {
		t.Error("unpublish leaves the target's directory")
	}
	if !exists(filepath.Join(n.volumes, "pvc-1", "written")) {
		t.Error("what the pod wrote is gone")
	}
}

func TestPublishOptions(t *testing.T) {
	const always = unix.MS_NOSUID | unix.MS_NODEV
	for _, test := range []struct {
		name    string
		options []string
		want    mountFlags // besides always
		without mountFlags
	}{
		{"none", nil, 0, unix.MS_RDONLY | unix.MS_NOEXEC | unix.MS_NOATIME},
		{"ro", []string{"ro"}, unix.MS_RDONLY, unix.MS_NOEXEC},
		{"noexec", []string{"noexec"}, unix.MS_NOEXEC, unix.MS_RDONLY},
		{"noatime", []string{"noatime"}, unix.MS_NOATIME, unix.MS_RELATIME},
		{"relatime", []string{"relatime"}, unix.MS_RELATIME, unix.MS_NOATIME},
		{"nodiratime", []string{"nodiratime"}, unix.MS_NODIRATIME, 0},
		{"what is in force anyway", []string{"nosuid", "nodev"}, 0, unix.MS_RDONLY},
		{"several", []string{"ro", "noexec", "noatime"}, unix.MS_RDONLY | unix.MS_NOEXEC | unix.MS_NOATIME, unix.MS_RELATIME},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNode(t)
			target := n.target("mount")
			n.mustPublish(t, n.volume(t, "pvc-1"), PublishOptions{TargetPath: target, Options: test.options})
			flags, err := flagsOf(open(t, target))
			if err != nil {
				t.Fatal(err)
			}
			if want := always | test.want; flags&want != want || flags&test.without != 0 {
				t.Errorf("flags %#x, want %#x and none of %#x", flags, want, test.without)
			}
			err = os.WriteFile(filepath.Join(target, "new"), nil, 0o644)
			if readOnly := test.want&unix.MS_RDONLY != 0; errors.Is(err, unix.EROFS) != readOnly {
				t.Errorf("a write ends with %v", err)
			}
		})
	}
}

func TestCheckOptionsRefuses(t *testing.T) {
	for _, option := range []string{"suid", "dev", "exec", "rw", "bind", "remount", "ro,suid", "uid=0", "RO", " ro", ""} {
		wantClass(t, CheckOptions([]string{"noexec", option}), errdefs.ErrInvalid)
	}
	wantClass(t, CheckOptions([]string{"noatime", "relatime"}), errdefs.ErrInvalid)
}

func TestPublishWhereSomethingIs(t *testing.T) {
	n := newNode(t)
	first, second, target := n.volume(t, "pvc-1"), n.volume(t, "pvc-2"), n.target("mount")
	n.mustPublish(t, first, PublishOptions{TargetPath: target})
	for _, test := range []struct {
		name string
		data *os.File
		PublishOptions
		want error
	}{
		{"the same", first, PublishOptions{TargetPath: target}, nil},
		{"the same, exclusive", first, PublishOptions{TargetPath: target, Exclusive: true}, nil},
		{"read-only", first, PublishOptions{TargetPath: target, Options: []string{"ro"}}, errdefs.ErrConflict},
		{"without programs", first, PublishOptions{TargetPath: target, Options: []string{"noexec"}}, errdefs.ErrConflict},
		{"another volume", second, PublishOptions{TargetPath: target}, errdefs.ErrConflict},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantClass(t, n.Publish(test.data, test.PublishOptions), test.want)
			n.wantMounts(t, 1)
			if !exists(filepath.Join(target, "of-pvc-1")) {
				t.Error("the first volume is not at the target any more")
			}
		})
	}
	t.Run("a read-only one for writing", func(t *testing.T) {
		target := n.target("read-only")
		n.mustPublish(t, first, PublishOptions{TargetPath: target, Options: []string{"ro"}})
		wantClass(t, n.Publish(first, PublishOptions{TargetPath: target}), errdefs.ErrConflict)
	})
	t.Run("an empty directory, as after a reboot", func(t *testing.T) {
		target := n.target("rebooted")
		mkdirAll(t, target)
		n.mustPublish(t, first, PublishOptions{TargetPath: target})
		if !exists(filepath.Join(target, "of-pvc-1")) {
			t.Error("the volume is not at the target")
		}
	})
}

// TestPublishOfReadOnlyDisk repeats a publication on a disk that is mounted
// read-only: nobody asked for ro, and yet it is as asked.
func TestPublishOfReadOnlyDisk(t *testing.T) {
	n := newNode(t)
	n.volume(t, "pvc-1")
	if err := unix.Mount(n.volumes, n.volumes, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", n.volumes, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	data := open(t, filepath.Join(n.volumes, "pvc-1"))
	for range 2 {
		n.mustPublish(t, data, PublishOptions{TargetPath: n.target("mount")})
	}
	n.wantMounts(t, 1)
}

// TestPublishIsPrivate mounts something below a volume that is published: pods
// do not see what people mount into the disk.
func TestPublishIsPrivate(t *testing.T) {
	n := newNode(t)
	inside := filepath.Join(n.volumes, "pvc-1", "inside")
	mkdirAll(t, inside)
	// A shared mount, as those of most machines are.
	if err := unix.Mount(n.volumes, n.volumes, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", n.volumes, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	data := n.volume(t, "pvc-1")
	n.mustPublish(t, data, PublishOptions{TargetPath: n.target("mount")})
	if err := unix.Mount("tmpfs", inside, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	n.wantMounts(t, 1)
}

// TestPublishWhatWasOpened moves the volume between its opening and its mount.
func TestPublishWhatWasOpened(t *testing.T) {
	n := newNode(t)
	data := n.volume(t, "pvc-1")
	if err := os.Rename(filepath.Join(n.volumes, "pvc-1"), filepath.Join(n.volumes, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(n.volumes, "pvc-1")); err != nil {
		t.Fatal(err)
	}
	n.mustPublish(t, data, PublishOptions{TargetPath: n.target("mount")})
	if !exists(filepath.Join(n.target("mount"), "of-pvc-1")) {
		t.Error("something else than the opened directory is mounted")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, dir := range []string{"", "/", "//", "/..", "var/lib/kubelet"} {
		if _, err := New(dir, NewBind("")); !errors.Is(err, errdefs.ErrInvalid) {
			t.Errorf("kubelet's directory %q: error %v, want %v", dir, err, errdefs.ErrInvalid)
		}
	}
}
