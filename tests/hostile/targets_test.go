package hostile

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestTargetsSwapped exchanges directories on the way to a target path for links
// that lead out, while a volume is published and unpublished there. Kubelet's
// directories are root's; CVE-2021-25741 swapped them all the same.
func TestTargetsSwapped(t *testing.T) {
	plugin.RequireRoot(t)
	w := newWorld(t, disk.Mount(t, "ext4", 64*mebibyte))
	for _, swapped := range []string{"pod/volume/target", "pod/volume", "pod"} {
		t.Run(swapped, func(t *testing.T) {
			for _, leads := range []string{w.outside, w.elsewhere} {
				w.swapTarget(t, swapped, filepath.Join(leads, "trap"))
			}
		})
	}
}

// swapTarget exchanges one directory of pod/volume/target for a link to the
// trap, where the rest of the path exists as well.
func (w *world) swapTarget(t *testing.T, swapped, trap string) {
	id := w.create(t)
	precious := filepath.Join(w.data(id), "precious")
	if err := os.WriteFile(precious, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	pods := w.target("swapped")
	target := filepath.Join(pods, "pod/volume/target")
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	directory, link := filepath.Join(pods, swapped), filepath.Join(pods, "link")
	if err := os.Symlink(trap, link); err != nil {
		t.Fatal(err)
	}
	swap := func() error {
		return unix.Renameat2(unix.AT_FDCWD, directory, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
	}
	rounds, published := 0, 0
	step := func(*tenant, int) {
		swap()
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
	steps := mischief{step: step}.during(nil, func() {
		for end := time.Now().Add(lasting()); time.Now().Before(end); rounds++ {
			if w.Publish(w.ctx, id, target) == nil {
				published++
			}
			if at := disk.MountsBelow(t, trap); len(at) > 0 {
				t.Fatalf("mounted behind the link: %q", at)
			}
			w.Unpublish(w.ctx, id, target)
			// A target that was moved away while it was mounted on is a mount
			// point now, and no longer moves.
			unix.Unmount(link, unix.UMOUNT_NOFOLLOW)
		}
	})
	t.Logf("%d rounds, %d of them published, %d exchanges", rounds, published, steps)

	if info, err := os.Lstat(link); err == nil && info.IsDir() {
		if err := swap(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	plugin.WantCode(t, "unpublish", w.Unpublish(w.ctx, id, target), codes.OK)
	if at := disk.MountsBelow(t, w.KubeletDir); len(at) > 0 {
		t.Errorf("still mounted: %q", at)
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != written {
		t.Errorf("the volume holds %q: %v", data, err)
	}
	w.wantUnharmed(t)
	plugin.WantCode(t, "delete", w.Delete(w.ctx, id), codes.OK)
}
