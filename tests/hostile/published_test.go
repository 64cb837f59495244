package hostile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestMountsInPublished mounts things in a published volume, as a privileged pod
// with mountPropagation: Bidirectional does. They are neither unmounted nor
// removed, and the volume goes once they are gone.
func TestMountsInPublished(t *testing.T) {
	plugin.RequireRoot(t)
	w := newWorld(t, disk.Mount(t, "ext4", 64*mebibyte))
	id, target := w.create(t), w.target("target")
	plugin.WantCode(t, "publish", w.Publish(w.ctx, id, target), codes.OK)
	bound, temporary := filepath.Join(target, "bound"), filepath.Join(target, "temporary")
	for _, dir := range []string{bound, temporary} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, w.outside, bound, "", unix.MS_BIND)
	mount(t, "tmpfs", temporary, "tmpfs", 0)
	write(t, filepath.Join(temporary, "precious"))
	mounted := disk.MountsBelow(t, w.KubeletDir)

	plugin.WantCode(t, "publish again", w.Publish(w.ctx, id, target), codes.OK)
	_, err := w.Stats(w.ctx, id, target)
	plugin.WantCode(t, "stats", err, codes.OK)
	plugin.WantCode(t, "delete", w.DeleteNow(w.ctx, id), codes.FailedPrecondition)
	for range 2 {
		plugin.WantCode(t, "unpublish", w.Unpublish(w.ctx, id, target), codes.Aborted)
	}
	if now := disk.MountsBelow(t, w.KubeletDir); !slices.Equal(now, mounted) {
		t.Errorf("mounted is %q, was %q", now, mounted)
	}
	if _, err := os.Stat(filepath.Join(temporary, "precious")); err != nil {
		t.Error(err)
	}
	w.wantUnharmed(t)

	disk.UnmountBelow(t, target)
	plugin.WantCode(t, "unpublish", w.Unpublish(w.ctx, id, target), codes.OK)
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	w.waitPurged(t)
	w.wantUnharmed(t)
}

// TestMountOnPublished mounts something over a published volume: whoever asks hears
// that it is not the volume, and unpublishing takes both away.
func TestMountOnPublished(t *testing.T) {
	plugin.RequireRoot(t)
	w := newWorld(t, disk.Mount(t, "ext4", 64*mebibyte))
	id, target := w.create(t), w.target("target")
	plugin.WantCode(t, "publish", w.Publish(w.ctx, id, target), codes.OK)
	mount(t, w.outside, target, "", unix.MS_BIND)

	plugin.WantCode(t, "publish again", w.Publish(w.ctx, id, target), codes.AlreadyExists)
	_, err := w.Stats(w.ctx, id, target)
	plugin.WantCode(t, "stats", err, codes.NotFound)
	plugin.WantCode(t, "delete", w.DeleteNow(w.ctx, id), codes.FailedPrecondition)
	plugin.WantCode(t, "unpublish", w.Unpublish(w.ctx, id, target), codes.OK)
	if at := disk.MountsBelow(t, w.KubeletDir); len(at) > 0 {
		t.Errorf("still mounted: %q", at)
	}
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
	w.wantUnharmed(t)
}

func mount(t *testing.T, source, target, fstype string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
