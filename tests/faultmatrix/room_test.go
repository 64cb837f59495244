package faultmatrix

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestRoomAcrossKills kills and starts the plugin twenty times, on disks that are
// in use by a tenth, by half and by almost all, while a pod writes. What the pod
// does within its claim changes nothing for anybody else: the room stays what the
// formula says, CreateVolume grants what GetCapacity has told and no more, and the
// trash stays, although its least time is over.
func TestRoomAcrossKills(t *testing.T) {
	plugin.RequireRoot(t)
	const size = 512 * mebibyte
	for _, filesystem := range []struct {
		name  string
		mount func(t *testing.T) string
		// slack is what the filesystem's own bookkeeping may take or give.
		slack int64
	}{
		{"ext4", func(t *testing.T) string { return disk.Mount(t, "ext4", size) }, 20 * mebibyte},
		{"xfs", func(t *testing.T) string { return disk.Mount(t, "xfs", size) }, 32 * mebibyte},
		{"btrfs with quotas", func(t *testing.T) string { return disk.MountLimited(t, 2*size) }, 64 * mebibyte},
	} {
		for _, share := range []float64{0.1, 0.5, 0.85} {
			t.Run(fmt.Sprintf("%s, %.0f percent", filesystem.name, 100*share), func(t *testing.T) {
				t.Parallel()
				r := newRoomer(t, filesystem.mount(t), share, filesystem.slack)
				for range 20 {
					r.Signal(t, syscall.SIGKILL)
					r.run(t)
					r.check(t)
				}
			})
		}
	}
}

// roomer is a plugin and the model of its disk's room.
type roomer struct {
	*server
	slack int64
	// room is what the formula says, with all of the trash in it.
	room    int64
	deleted string // the entry of the trash
	made    int
}

func newRoomer(t *testing.T, mounted string, share float64, slack int64) *roomer {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(mounted, &fs); err != nil {
		t.Fatal(err)
	}
	whole, free := int64(fs.Blocks-fs.Bfree+fs.Bavail)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
	// Of what is not in use the pod has half, and never leaves so little that the
	// trash would have to go.
	claim := int64(float64(whole) * (1 - share) / 2)
	const trash = 4 * mebibyte
	others := max(0, int64(float64(whole)*share)-(whole-free)-trash)
	fillWith(t, filepath.Join(mounted, "others"), others)

	base := filepath.Join(mounted, "pool")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	r := &roomer{server: layout(t, base), slack: slack, room: free - others - trash - claim}
	r.Plain = true
	r.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q], trashTTL: 24h, minTrashTTL: 1h}]", base))
	r.run(t)
	id, err := r.Create(r.ctx, "pvc-deleted", 2*trash)
	plugin.WantCode(t, "create", err, codes.OK)
	fillWith(t, filepath.Join(r.VolumeDir(id), "data", "file"), trash)
	plugin.WantCode(t, "delete", r.Delete(r.ctx, id), codes.OK)
	dateBack(t, base, 2*time.Hour)
	r.deleted = onlyEntry(t, base)

	id, err = r.Create(r.ctx, "pvc-writer", claim)
	plugin.WantCode(t, "create", err, codes.OK)
	ctx, stop := context.WithCancel(context.Background())
	var pod sync.WaitGroup
	pod.Go(func() { writeWithin(ctx, filepath.Join(r.VolumeDir(id), "data", "file"), claim*3/4) })
	t.Cleanup(func() { stop(); pod.Wait() })
	time.Sleep(3 * time.Second) // until its figures are of now, and written down
	return r
}

// check holds the plugin to the model.
func (r *roomer) check(t *testing.T) {
	t.Helper()
	told := r.capacity(t)
	if told < r.room-r.slack || told > r.room+r.slack {
		t.Fatalf("room for %d MiB, the formula says %d", told/mebibyte, r.room/mebibyte)
	}
	if now := onlyEntry(t, r.Base); now != r.deleted {
		t.Fatalf("the trash holds %q, it held %q", now, r.deleted)
	}
	// Others' files are as they were. The first count after a start may correct what
	// was written down by a hundredth of the disk, and bookkeeping moves.
	const between = 12 * mebibyte
	r.made++
	name := fmt.Sprintf("pvc-probe-%d", r.made)
	create := func(bytes int64) (string, error) {
		req := plugin.GoodCreate(name, bytes)
		req.Parameters = map[string]string{"trashTTL": "0s"}
		resp, err := r.CreateVolume(r.ctx, req)
		return resp.GetVolume().GetVolumeId(), err
	}
	_, err := create(told + between)
	plugin.WantCode(t, "create more than there is room for", err, codes.ResourceExhausted)
	if told <= 2*between {
		return
	}
	id, err := create(told - between)
	plugin.WantCode(t, "create what there is room for", err, codes.OK)
	plugin.WantCode(t, "delete", r.Delete(r.ctx, id), codes.OK)
}

// onlyEntry returns the deleted volume that was there before all others.
func onlyEntry(t *testing.T, base string) string {
	t.Helper()
	for _, name := range plugin.Trash(t, base) {
		if strings.HasPrefix(name, "pvc-deleted.") {
			return name
		}
	}
	return ""
}

// fillWith writes a file of this size, down to the disk.
func fillWith(t *testing.T, path string, bytes int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, mebibyte)
	for left := bytes; left > 0; left -= mebibyte {
		if _, err := f.Write(block[:min(left, mebibyte)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// writeWithin fills a file of this size, and writes on in it. It has its size from
// the start: behind the end of one that grows, XFS allocates more than the pod has
// written, and hostdir counts that.
func writeWithin(ctx context.Context, path string, bytes int64) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	if f.Truncate(bytes) != nil {
		return
	}
	block := make([]byte, mebibyte)
	for at := int64(0); ctx.Err() == nil; at = (at + mebibyte) % (bytes / mebibyte * mebibyte) {
		_, _ = f.WriteAt(block, at)
		time.Sleep(20 * time.Millisecond)
	}
}
