package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostdir/hostdir/tests/disk"
	"github.com/hostdir/hostdir/tests/plugin"
)

// withCheckpoints has files settle that many at a time.
func withCheckpoints(t *testing.T, files int) {
	was := checkpointFiles
	checkpointFiles = files
	t.Cleanup(func() { checkpointFiles = was })
}

// layMany makes files that were written long ago.
func layMany(t *testing.T, at string, files int) {
	t.Helper()
	for i := range files {
		path := filepath.Join(at, fmt.Sprintf("%c/%d", 'a'+i%5, i))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, fmt.Append(nil, "content of ", i), 0o600))
		at := time.Unix(1e9, int64(i))
		must(t, os.Chtimes(path, at, at))
	}
}

// mark gives those files of a copy that say they are on the disk a content of their own, by
// which they are known if they are not copied again.
func mark(t *testing.T, from, to string) map[string]bool {
	t.Helper()
	marked := map[string]bool{}
	must(t, filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(to, path)
		var original, copied unix.Stat_t
		must(t, unix.Lstat(filepath.Join(from, name), &original), unix.Lstat(path, &copied))
		if original.Mtim == copied.Mtim {
			marked[name] = true
			at := time.Unix(copied.Mtim.Unix())
			must(t, os.WriteFile(path, bytes.Repeat([]byte("k"), int(copied.Size)), 0o600), os.Chtimes(path, at, at))
		}
		return nil
	}))
	return marked
}

// wantKept holds a copy to what it kept.
func wantKept(t *testing.T, from, to string, kept map[string]bool) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(from, path)
		want, err := os.ReadFile(path)
		must(t, err)
		if kept[name] {
			want = bytes.Repeat([]byte("k"), len(want))
		}
		got, err := os.ReadFile(filepath.Join(to, name))
		if must(t, err); !bytes.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		return nil
	}))
}

// TestCheckpoints cuts a copy short anywhere: what has come to a checkpoint is not copied
// again, and all else is.
func TestCheckpoints(t *testing.T) {
	plugin.RequireRoot(t)
	withCheckpoints(t, 10)
	const files = 95
	mounted := disk.Mount(t, "ext4", 64<<20)
	from := filepath.Join(mounted, "from")
	layMany(t, from, files)
	for stop := 0; stop < 2*files; stop += 3 {
		to := filepath.Join(mounted, fmt.Sprint("to-", stop))
		must(t, os.Mkdir(to, 0o700))
		resumable, steps := 0, 0
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Copy(ctx, open(t, from), open(t, to), &Watch{Step: func() error {
			if steps++; steps > stop {
				cancel()
			}
			return nil
		}}, Options{Resumable: func() error { resumable++; return nil }})
		cancel()
		whole := err == nil
		if !whole && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		settled := mark(t, from, to)
		if n := len(settled); whole && n != files || !whole && (n%10 != 0 || (n > 0) != (resumable == 1)) || resumable > 1 {
			t.Fatalf("cut short after %d steps (%v): %d files have their time, and Resumable was called %d times", stop, err, n, resumable)
		}
		_, err = Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{})
		must(t, err)
		wantKept(t, from, to, settled)
		must(t, os.RemoveAll(to))
	}
}

// TestCheckpointFails ends a copy whose beginning cannot be noted.
func TestCheckpointFails(t *testing.T) {
	plugin.RequireRoot(t)
	withCheckpoints(t, 10)
	mounted := disk.Mount(t, "ext4", 64<<20)
	from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
	layMany(t, from, 20)
	must(t, os.Mkdir(to, 0o700))
	broken := errors.New("broken")
	_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{Resumable: func() error { return broken }})
	if settled := mark(t, from, to); !errors.Is(err, broken) || len(settled) > 0 {
		t.Errorf("%v; with their time: %v", err, settled)
	}
}

// TestChangedSince copies again what says that it is the same, and was written since.
func TestChangedSince(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 64<<20)
	from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
	layMany(t, from, 10)
	must(t, os.Mkdir(to, 0o700))
	_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{Live: true})
	must(t, err)
	kept := mark(t, from, to)
	time.Sleep(50 * time.Millisecond) // the clock of inodes moves in steps
	began := time.Now()
	time.Sleep(50 * time.Millisecond)
	at := time.Unix(1e9, 3)
	must(t, os.WriteFile(from+"/d/3", []byte("CONTENT of 3"), 0o600), os.Chtimes(from+"/d/3", at, at))
	_, err = Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{Live: true, ChangedSince: began})
	must(t, err)
	delete(kept, "d/3")
	wantKept(t, from, to, kept)
}

// TestCheckpointDeep has paths that are longer than any call takes.
func TestCheckpointDeep(t *testing.T) {
	plugin.RequireRoot(t)
	mounted := disk.Mount(t, "ext4", 64<<20)
	from, to := filepath.Join(mounted, "from"), filepath.Join(mounted, "to")
	must(t, os.Mkdir(from, 0o700), os.Mkdir(to, 0o700))
	d := open(t, from)
	for range 20 {
		below, err := d.MakeSub(strings.Repeat("x", 250))
		must(t, err, d.WriteFile("file", []byte("content")))
		t.Cleanup(func() { below.Close() })
		d = below
	}
	must(t, d.WriteFile("file", []byte("content")))
	_, err := Copy(t.Context(), open(t, from), open(t, to), new(Watch), Options{})
	must(t, err, Compare(t.Context(), open(t, from), open(t, to), new(Watch)))
}
