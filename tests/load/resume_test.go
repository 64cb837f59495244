package load

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// TestCopyGoesOn kills the program in the middle of a copy of many files. Asked again, the
// next one goes on with it.
func TestCopyGoesOn(t *testing.T) {
	plugin.RequireRoot(t)
	const files = 30_000 // more than are copied between two checkpoints
	base := filepath.Join(disk.Mount(t, "ext4", 1<<30), "pool")
	p := plugin.Layout(t, base)
	p.Configure(t, fmt.Sprintf("pools: [{name: default, paths: [%q]}]", base))
	p.Run(t)
	ctx := plugin.Context(t)
	id, err := plugin.NewClient(p.Conn).Create(ctx, "pvc-1", 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(p.VolumeDir(id), "data")
	for i := range files {
		path := filepath.Join(data, fmt.Sprint(i/100), fmt.Sprint(i))
		if i%100 == 0 {
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, fmt.Append(nil, "content of ", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // what is written just before its copy is copied again

	request := &csi.CreateSnapshotRequest{Name: "snapshot-1", SourceVolumeId: id}
	client := plugin.NewClient(p.Conn)
	go client.CreateSnapshot(ctx, request) // nobody lives to answer
	building := filepath.Join(base, "snapshots", ".new-snapshot-1")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(filepath.Join(building, "copy.json")); err == nil && sameTimes(t, data, filepath.Join(building, "data")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the copy has come to no checkpoint")
		}
	}
	p.Signal(t, syscall.SIGKILL)
	killed := time.Now()
	if _, err := os.Lstat(building); err != nil {
		t.Fatal("the copy was ready: ", err)
	}

	p.Run(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		made, err := plugin.NewClient(p.Conn).CreateSnapshot(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if made.GetSnapshot().GetReadyToUse() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the snapshot is not ready")
		}
	}
	kept := 0
	for i := range files {
		name := filepath.Join(fmt.Sprint(i/100), fmt.Sprint(i))
		copied := filepath.Join(base, "snapshots/snapshot-1/data", name)
		if content, err := os.ReadFile(copied); err != nil || string(content) != fmt.Sprint("content of ", i) {
			t.Fatalf("file %s is %q: %v", name, content, err)
		}
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, copied, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st); err != nil {
			t.Fatal(err)
		}
		if time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).Before(killed) {
			kept++
		}
	}
	t.Logf("%d of %d files were not copied again", kept, files)
	if kept == 0 || kept == files {
		t.Errorf("%d of %d files were not copied again", kept, files)
	}
	if left, err := fs.Glob(os.DirFS(base), "snapshots/.new-*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	plugin.CheckClean(t, p)
}

// sameTimes reports whether a copy has files that came to a checkpoint.
func sameTimes(t *testing.T, from, to string) bool {
	found, err := filepath.Glob(filepath.Join(to, "*", "*00"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		original, err := os.Lstat(from + strings.TrimPrefix(path, to))
		if err != nil {
			t.Fatal(err)
		}
		if copied, err := os.Lstat(path); err == nil && copied.ModTime().Equal(original.ModTime()) {
			return true
		}
	}
	return false
}
